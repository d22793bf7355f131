import type { FileHandle } from "node:fs/promises";
import type { BatchedWrites } from "./batched-writes.js";

/** Up to where a volume has come. */
export interface KeptPlace {
  /** All of the stream's data before it is on the disk, bytes. */
  readonly offset: number;
  /** How many bytes of this stream were taken for that, about. */
  readonly streamBytes: number;
}

/** Notes a place durably. */
export type SavePlace = (place: KeptPlace) => Promise<void>;

/** Saves now and then up to where a volume has come, so that another stream can go on there. */
export interface KeptPlaces {
  /** All data before `offset` was given to the writes. */
  reached(offset: number, streamBytes: number): void;
  /** Saves that place, if more came since the last. Rejects with what failed, now or before. */
  finish(offset: number, streamBytes: number): Promise<void>;
  /** Resolves when nothing is being saved any more. Rejects with what failed. */
  settle(): Promise<void>;
}

/**
 * So much may have to come again after a crash. One sync runs at a time, so a slow disk is synced less often.
 * Measured: with 8 MiB a receive takes longer.
 */
const STEP_BYTES = 16 * 1024 * 1024;

/** `start`: where the stream begins. `writes`: those to `file`. */
export function createKeptPlaces(
  file: Pick<FileHandle, "datasync">,
  writes: Pick<BatchedWrites, "flush">,
  start: number,
  save: SavePlace,
): KeptPlaces {
  /** The place that was saved last, or is being saved. */
  let known = start;
  /** What the stream had taken by then. Places grow by holes too, and only bytes cost time. */
  let knownBytes = 0;
  /** Settles when nothing is being saved any more, and rejects once one save has failed. */
  let last: Promise<void> = Promise.resolve();
  let isSaving = false;

  function begin(offset: number, streamBytes: number): void {
    known = offset;
    knownBytes = streamBytes;
    isSaving = true;
    // The writes so far are among those that are synced.
    const written = writes.flush();
    last = last
      .then(() => written)
      .then(() => file.datasync())
      .then(() => save({ offset, streamBytes }))
      .finally(() => {
        isSaving = false;
      });
    // Nobody may be waiting when it fails. The error is not lost: `settle` rejects with it.
    last.catch(() => {});
    written.catch(() => {});
  }

  return {
    reached(offset, streamBytes) {
      if (isSaving || offset <= known || streamBytes - knownBytes < STEP_BYTES) return;
      begin(offset, streamBytes);
    },
    async finish(offset, streamBytes) {
      await last;
      if (offset <= known) return;
      begin(offset, streamBytes);
      await last;
    },
    settle: () => last,
  };
}
