import type { DatasetLocks, LockMode, LockRequest } from "./dataset-locks.js";

/** From the weakest to the strongest. */
const MODES: readonly LockMode[] = ["keep", "part", "one", "tree"];

/**
 * Locks that tell how long each `with` waited until it had all that it asked for, and the strongest
 * of its modes. One that is never granted is not told.
 */
export function measuredLocks(
  locks: DatasetLocks,
  onWait: (mode: LockMode, ms: number) => void,
): DatasetLocks {
  return {
    get size() {
      return locks.size;
    },
    with: (requests, work, watch) => {
      const since = performance.now();
      return locks.with(
        requests,
        () => {
          onWait(strongestOf(requests), performance.now() - since);
          return work();
        },
        watch,
      );
    },
  };
}

function strongestOf(requests: readonly LockRequest[]): LockMode {
  let strongest = 0;
  for (const { mode } of requests) strongest = Math.max(strongest, MODES.indexOf(mode));
  return MODES[strongest] ?? "keep";
}
