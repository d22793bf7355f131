import type { PoolRecord } from "../../protocol/storage/records.js";
import type { Actor } from "./actor-handle.js";
import { withTimeout } from "./time-limit.js";

/** A scrape may show an answer that came so long ago: that to the scrape before, where it was late. */
const SHOWN_FOR_MS = 60_000;

/** An answer, when it came, and the question that has no answer yet. */
interface Known {
  record: PoolRecord | undefined;
  at: number;
  asked: Promise<void> | undefined;
}

/**
 * @returns finds the records of all pools, for a scrape. One whose actor does not answer within `timeoutMs` is shown
 * as it was when it answered last, for a minute, and left out then. Never rejects.
 */
export function createPoolRecords(
  actors: () => Iterable<Pick<Actor, "call" | "pool">>,
  timeoutMs: number,
  now = () => performance.now(),
): () => Promise<readonly PoolRecord[]> {
  const knownPools = new Map<string, Known>();

  async function ask(known: Known, call: Actor["call"]): Promise<void> {
    const outcome = await call<PoolRecord>({ op: "GetPool" }).catch(() => undefined);
    known.asked = undefined;
    known.record = outcome?.ok ? outcome.value : undefined;
    known.at = now();
  }

  async function recordOf({ pool, call }: Pick<Actor, "call" | "pool">): Promise<readonly PoolRecord[]> {
    const known = knownPools.get(pool) ?? { record: undefined, at: 0, asked: undefined };
    knownPools.set(pool, known);
    known.asked ??= ask(known, call);
    await withTimeout(known.asked, timeoutMs).catch(() => {});
    const isShown = known.record !== undefined && now() - known.at <= SHOWN_FOR_MS;
    return isShown && known.record ? [known.record] : [];
  }

  return async () => (await Promise.all([...actors()].map(recordOf))).flat();
}
