/** Releases what has been opened, the last first. */
export interface ReleaseStack {
  push(release: () => Promise<unknown>): void;
  /** Releases everything, one after the other. Rejects if a release does, and keeps the rest open. */
  releaseAll(): Promise<void>;
}

export function createReleaseStack(): ReleaseStack {
  const releases: (() => Promise<unknown>)[] = [];
  return {
    push: (release) => {
      releases.push(release);
    },
    releaseAll: async () => {
      for (let release = releases.pop(); release; release = releases.pop()) await release();
    },
  };
}
