import type { FileHandle } from "node:fs/promises";

/**
 * Brings what is written to a file to the disk while more is written, so that little is left for the
 * sync at the end.
 */
interface EarlySync {
  /** So many bytes more were written. */
  wrote(bytes: number): void;
  /**
   * Resolves when nothing is under way any more. Rejects with what failed: the system tells each failure
   * only once, so a later sync would not.
   */
  settle(): Promise<void>;
}

/** Measured: less made the writes wait more often, more left more for the end. */
const STEP_BYTES = 128 * 1024 * 1024;

export function createEarlySync(file: Pick<FileHandle, "datasync">): EarlySync {
  /** What was written since the last sync began. */
  let unsyncedBytes = 0;
  /** The last sync. It rejects once one has failed. */
  let last: Promise<void> = Promise.resolve();
  let isSyncing = false;
  return {
    wrote(bytes) {
      unsyncedBytes += bytes;
      if (unsyncedBytes < STEP_BYTES || isSyncing) return;
      unsyncedBytes = 0;
      isSyncing = true;
      last = last
        .then(() => file.datasync())
        .finally(() => {
          isSyncing = false;
        });
      // Nobody may be waiting when it fails. The error is not lost: `settle` rejects with it.
      last.catch(() => {});
    },
    settle: () => last,
  };
}
