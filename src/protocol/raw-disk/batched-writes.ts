import type { FileHandle } from "node:fs/promises";
import { writeWhole } from "./file-writes.js";

const BATCH_BYTES = 1024 * 1024;

/**
 * Writes to a file in batches: adjacent writes are joined, and one batch is written while the
 * next is gathered. Batches reach the file in the order of the calls.
 */
export interface BatchedWrites {
  /** Copies `data`, so the caller may reuse it. Rejects when an earlier batch failed. */
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Resolves when everything given so far is in the file. Rejects when a batch failed. */
  flush(): Promise<void>;
}

export function createBatchedWrites(file: FileHandle): BatchedWrites {
  /** Holds the batch that is being gathered. */
  let gathering = Buffer.allocUnsafe(BATCH_BYTES);
  /** Holds the batch of `inFlight`; never the same buffer as `gathering`. */
  let writing = Buffer.allocUnsafe(BATCH_BYTES);
  /** Where in the file the gathered batch begins. */
  let start = 0;
  /** How many bytes are gathered: 0 to BATCH_BYTES. */
  let length = 0;
  /** The last batch that was started. Awaited before the next one starts, so there is at most one. */
  let inFlight: Promise<void> = Promise.resolve();

  async function startBatch(): Promise<void> {
    if (length === 0) return;
    await inFlight;
    inFlight = writeWhole(file, gathering.subarray(0, length), start);
    // It may fail before anyone awaits it. The error is not lost: the next call awaits it and rejects.
    inFlight.catch(() => {});
    [gathering, writing] = [writing, gathering];
    start += length;
    length = 0;
  }

  return {
    write: async (offset, data) => {
      if (offset !== start + length) {
        await startBatch();
        start = offset;
      }
      for (let taken = 0; taken < data.length; ) {
        const part = data.subarray(taken, taken + BATCH_BYTES - length);
        gathering.set(part, length);
        length += part.length;
        taken += part.length;
        if (length === BATCH_BYTES) await startBatch();
      }
    },
    flush: async () => {
      await startBatch();
      await inFlight;
    },
  };
}
