import type { Trace } from "../../protocol/threads/trace-points.js";
import type { DatasetLocks } from "./dataset-locks.js";

/** Locks whose waits, holds and releases are points: `locks.wait`, `locks.held` and `locks.released`. */
export function tracedLocks(trace: Trace | undefined, locks: DatasetLocks): DatasetLocks {
  if (!trace) return locks;
  return {
    get size() {
      return locks.size;
    },
    with: async (requests, work, watch) => {
      trace("locks.wait");
      try {
        return await locks.with(
          requests,
          () => {
            trace("locks.held");
            return work();
          },
          watch,
        );
      } finally {
        trace("locks.released");
      }
    },
  };
}
