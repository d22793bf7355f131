import type { PoolRecord } from "../../protocol/storage/records.js";
import type { Actor } from "./actor-handle.js";
import { createLastAnswers } from "./last-answers.js";

/**
 * @returns finds the records of all pools, for a scrape. One whose actor does not answer within `timeoutMs` is shown
 * as it was when it answered last, for a minute, and left out then. Never rejects.
 */
export function createPoolRecords(
  actors: () => Iterable<Pick<Actor, "call" | "pool">>,
  timeoutMs: number,
  now?: () => number,
): () => Promise<readonly PoolRecord[]> {
  const ask = async ({ call }: Pick<Actor, "call" | "pool">) => {
    const outcome = await call<PoolRecord>({ op: "GetPool" });
    return outcome.ok ? outcome.value : undefined;
  };
  const answers = createLastAnswers({ actors, ask, timeoutMs, now });
  return async () => (await answers()).map(({ answer }) => answer);
}
