import { CallError, NoAnswerError } from "./client-errors.js";

/** What a call changes, and whether a repeat of it is known by its key. */
export type Repeat = "read" | "repeatable" | "once";

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;
/** After these it is open whether the change happened. */
const OPEN_ENDS: readonly string[] = ["service.interrupted", "command.timed_out"];
/** Statuses of requests that the daemon has not looked at: too many of them, or too slow. */
const UNTOUCHED: readonly number[] = [408, 429, 503];

/**
 * Whether a call that failed so may be repeated: the failure is one that passes, and the repeat can't do
 * a change twice.
 */
export function mayRepeat(error: unknown, repeat: Repeat): boolean {
  if (error instanceof CallError) {
    return error.retryable && (repeat !== "once" || !OPEN_ENDS.includes(error.reason));
  }
  if (!(error instanceof NoAnswerError)) return false;
  if (error.status === undefined) return repeat !== "once";
  return UNTOUCHED.includes(error.status);
}

/** How long to wait before a repeat: as long as the daemon has said, or longer each time. `repeats`: so far. */
export function delayMs(error: unknown, repeats: number): number {
  const asked = error instanceof CallError || error instanceof NoAnswerError ? error.retryAfter : undefined;
  if (asked !== undefined) return asked * 1_000;
  // Clients that failed together must not come back together.
  const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** repeats);
  return longest * (0.5 + Math.random() / 2);
}

/** Resolves after a while. Rejects with the reason of the signal. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end);
  });
}

/** Runs `attempt` until it succeeds, fails for good, or has been repeated `most` times. */
export async function withRepeats<T>(
  attempt: () => Promise<T>,
  repeat: Repeat,
  most: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    try {
      return await attempt();
    } catch (error) {
      if (repeats >= most || !mayRepeat(error, repeat)) throw error;
      await pause(delayMs(error, repeats), signal);
    }
  }
}
