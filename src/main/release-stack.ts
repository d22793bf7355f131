import type { FailedOutcome } from "../protocol/storage/failures.js";

/** Releases what has been opened, the last first. */
export interface ReleaseStack {
  push(release: () => Promise<unknown>): void;
  /** Releases everything, one after the other. Rejects if a release does, and keeps the rest open. */
  releaseAll(): Promise<void>;
  /** Releases everything, because something could not be opened. @returns that failure. */
  failed(failure: FailedOutcome): Promise<FailedOutcome>;
}

export function createReleaseStack(): ReleaseStack {
  const releases: (() => Promise<unknown>)[] = [];
  const releaseAll = async () => {
    for (let release = releases.pop(); release; release = releases.pop()) await release();
  };
  return {
    push: (release) => {
      releases.push(release);
    },
    releaseAll,
    failed: async (failure) => {
      await releaseAll();
      return failure;
    },
  };
}
