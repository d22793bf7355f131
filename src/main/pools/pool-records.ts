import type { PoolRecord } from "../../protocol/storage/records.js";
import type { Actor } from "./actor-handle.js";
import { withTimeout } from "./time-limit.js";

/** The records of all pools whose actors answer in time. Other pools are left out. Never rejects. */
export async function findPoolRecords(
  actors: Iterable<Pick<Actor, "call">>,
  timeoutMs: number,
): Promise<readonly PoolRecord[]> {
  const found = await Promise.all(
    [...actors].map(async (actor) => {
      const outcome = await withTimeout(actor.call<PoolRecord>({ op: "GetPool" }), timeoutMs).catch(
        () => undefined,
      );
      return outcome?.ok ? [outcome.value] : [];
    }),
  );
  return found.flat();
}
