import { setTimeout as sleep } from "node:timers/promises";
import { mayBeRepeated } from "./store-failures.js";

/** How often a request is made before it counts as failed. */
export const TRIES = 5;
const FIRST_PAUSE_MS = 200;

/** A pause before try `attempt`, the first of which is 1. With full jitter: callers that failed together part. */
export function pauseMs(attempt: number, firstMs = FIRST_PAUSE_MS): number {
  return Math.random() * firstMs * 2 ** attempt;
}

/** Makes a request again while that may help. Rejects as the last try, or as soon as the signal says so. */
export async function repeated<T>(signal: AbortSignal, request: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request();
    } catch (error) {
      if (attempt >= TRIES || signal.aborted || !mayBeRepeated(error)) throw error;
      await sleep(pauseMs(attempt), undefined, { signal });
    }
  }
}
