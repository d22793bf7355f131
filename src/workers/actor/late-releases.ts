import { internalFailure, type Outcome } from "../../protocol/storage/failures.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { HoldRecord } from "./record-file.js";

/** The pause before a release is tried again. It doubles up to the longest. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** Releases holds that nobody needs and that could not be released, at growing pauses, until each is. */
export interface LateReleases {
  add(hold: HoldRecord): void;
  /** Ends all tries. What is left is released by the next start, which knows it from its records. */
  end(): void;
}

interface LateReleasesOptions {
  readonly log: ActorLog;
  /** Releases the hold, if it is there, and drops its record. */
  release(hold: HoldRecord): Promise<Outcome<unknown>>;
  readonly firstPauseMs?: number;
}

export function createLateReleases({
  log,
  release,
  firstPauseMs = FIRST_PAUSE_MS,
}: LateReleasesOptions): LateReleases {
  /** The timer of each hold that waits for its next try, by its tag. */
  const waiting = new Map<string, NodeJS.Timeout>();
  let isEnded = false;

  function tryAfter(hold: HoldRecord, pauseMs: number): void {
    if (isEnded) return;
    waiting.set(hold.tag, setTimeout(() => void tryNow(hold, pauseMs), pauseMs).unref());
  }

  async function tryNow(hold: HoldRecord, pauseMs: number): Promise<void> {
    waiting.delete(hold.tag);
    const released = await release(hold).catch(internalFailure);
    if (isEnded) return;
    if (released.ok) return log.warn("a hold is released at last", { ...hold });
    log.warn("a hold could not be released; it is tried again", { ...hold, ...released.failure });
    tryAfter(hold, Math.min(pauseMs * 2, LONGEST_PAUSE_MS));
  }

  return {
    add: (hold) => {
      if (!waiting.has(hold.tag)) tryAfter(hold, firstPauseMs);
    },
    end: () => {
      isEnded = true;
      for (const timer of waiting.values()) clearTimeout(timer);
      waiting.clear();
    },
  };
}
