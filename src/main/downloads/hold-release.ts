import { setTimeout as sleep } from "node:timers/promises";
import { internalFailure } from "../../protocol/storage/failures.js";
import type { SendHold } from "../../protocol/storage/operations.js";
import type { Actor } from "../pools/actor-handle.js";

/** The pause before a release is tried again. It doubles up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Releases a hold of a download. Tries until it succeeds: a hold that stays would keep its snapshot
 * forever, and what made it fail may pass, as a full disk does. Not once `signal` is aborted, by a
 * stop, which it would delay: the next start releases what the records still have. Never rejects.
 * @param onFailed called after each try that failed.
 */
export async function releaseHold(
  actor: Actor,
  { name, tag }: SendHold,
  signal: AbortSignal,
  onFailed: () => void,
): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const closed = await actor.callAlways<null>({ op: "CloseSend", name, tag }).catch(internalFailure);
    if (closed.ok || actor.state === "stopped" || signal.aborted) return;
    onFailed();
    await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
  }
}
