/** What was opened, to be released last in, first out. */
export interface ReleaseStack {
  push(release: () => Promise<unknown>): void;
  /** Releases everything, one after the other. A failure ends it: what lies below stays open. */
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
