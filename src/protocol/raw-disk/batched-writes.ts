import type { FileHandle } from "node:fs/promises";
import { createEarlySync } from "./early-sync.js";
import { writeWhole } from "./file-writes.js";
import { createWriteBehind } from "./write-behind.js";

const BATCH_BYTES = 1024 * 1024;

/**
 * Writes to a file in batches: adjacent writes are joined, and batches are written while the
 * next is gathered. They reach the file in the order of the calls.
 */
export interface BatchedWrites {
  /**
   * Copies `data`, so the caller may reuse it. Undefined: done. Else wait for the promise, which
   * rejects when an earlier batch failed.
   */
  write(offset: number, data: Uint8Array): Promise<void> | undefined;
  /** Resolves when everything given so far is in the file. Rejects when a batch failed. */
  flush(): Promise<void>;
  /** The same, and nothing works on the file any more: it can be synced, or closed. */
  finish(): Promise<void>;
}

export function createBatchedWrites(file: FileHandle): BatchedWrites {
  const behind = createWriteBehind(BATCH_BYTES);
  const early = createEarlySync(file);
  /** The batch that is being gathered. Undefined while there is none. */
  let batch: Buffer | undefined;
  /** Where in the file the gathered batch begins. */
  let start = 0;
  /** How many bytes are gathered: 0 to BATCH_BYTES, and 0 while there is no batch. */
  let length = 0;

  function startBatch(): void {
    if (!batch) return;
    const gathered = batch.subarray(0, length);
    const place = start;
    behind.put(batch, async () => {
      await writeWhole(file, gathered, place);
      early.wrote(gathered.length);
    });
    batch = undefined;
    start += length;
    length = 0;
  }

  async function gather(offset: number, data: Uint8Array): Promise<void> {
    if (offset !== start + length) {
      startBatch();
      start = offset;
    }
    for (let taken = 0; taken < data.length; ) {
      batch ??= await behind.take();
      const part = data.subarray(taken, taken + BATCH_BYTES - length);
      batch.set(part, length);
      length += part.length;
      taken += part.length;
      if (length === BATCH_BYTES) startBatch();
    }
  }

  return {
    write(offset, data) {
      if (!batch || offset !== start + length || length + data.length >= BATCH_BYTES)
        return gather(offset, data);
      // The common case, without a promise: it is what most of the blocks of a stream need.
      batch.set(data, length);
      length += data.length;
      return undefined;
    },
    flush() {
      startBatch();
      return behind.flush();
    },
    async finish() {
      startBatch();
      try {
        await behind.flush();
      } finally {
        await early.settle();
      }
    },
  };
}
