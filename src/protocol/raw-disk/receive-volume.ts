import type { FileHandle } from "node:fs/promises";
import { createVolumeReader, type StreamBegin } from "../zfs-stream/volume-reader.js";
import { writeWhole } from "./file-writes.js";

export interface ReceiveVolumeOptions {
  /** The stream, gunzipped. It is read to its end, or given up at the first thing wrong. */
  readonly source: AsyncIterable<Uint8Array>;
  /**
   * Opens the file that takes the volume, for reading and writing: an empty one for a full
   * stream, a copy of the older snapshot for an incremental. May throw to refuse the stream.
   * Closing it is the caller's.
   */
  openTarget(begin: StreamBegin): Promise<FileHandle>;
}

export interface ReceivedVolume {
  readonly begin: StreamBegin;
  /** Bytes; an incremental that does not state it leaves the size of the file. */
  readonly volsize: bigint;
  /** Bytes; undefined where an incremental does not state it. */
  readonly volblocksize: number | undefined;
  /** Bytes of data that the stream brought, holes not among them. */
  readonly writtenBytes: number;
  readonly recordCounts: Readonly<Record<string, number>>;
}

const BATCH_BYTES = 1024 * 1024;
const ZERO_STEP_BYTES = 128 * 1024;

/** Writes in the order given, neighbours in one go, and one go at a time while the next is gathered. */
interface BatchedWrites {
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Waits until everything given is in the file. Rejects when a write failed. */
  settle(): Promise<void>;
}

function createBatchedWrites(file: FileHandle): BatchedWrites {
  let gathered = Buffer.allocUnsafe(BATCH_BYTES);
  let spare = Buffer.allocUnsafe(BATCH_BYTES);
  let start = 0;
  let length = 0;
  let underWay: Promise<void> = Promise.resolve();

  async function send(): Promise<void> {
    if (length === 0) return;
    await underWay;
    underWay = writeWhole(file, gathered.subarray(0, length), start);
    // It may fail while nobody waits for it; whoever does is told.
    underWay.catch(() => {});
    [gathered, spare] = [spare, gathered];
    start += length;
    length = 0;
  }

  return {
    write: async (offset, data) => {
      if (offset !== start + length) {
        await send();
        start = offset;
      }
      for (let taken = 0; taken < data.length; ) {
        const part = data.subarray(taken, taken + BATCH_BYTES - length);
        gathered.set(part, length);
        length += part.length;
        taken += part.length;
        if (length === BATCH_BYTES) await send();
      }
    },
    settle: async () => {
      await send();
      await underWay;
    },
  };
}

/** Makes a range read as zeros. What does already is left alone, so that the holes of a sparse file stay holes. */
async function clear(file: FileHandle, start: number, end: number): Promise<void> {
  const zeros = Buffer.alloc(ZERO_STEP_BYTES);
  const found = Buffer.allocUnsafe(ZERO_STEP_BYTES);
  for (let offset = start; offset < end; ) {
    const { bytesRead } = await file.read(found, 0, Math.min(ZERO_STEP_BYTES, end - offset), offset);
    if (bytesRead === 0) return;
    const isZero = found.compare(zeros, 0, bytesRead, 0, bytesRead) === 0;
    if (!isZero) await writeWhole(file, zeros.subarray(0, bytesRead), offset);
    offset += bytesRead;
  }
}

/** A volume on its way into a file. */
interface Incoming {
  readonly begin: StreamBegin;
  readonly file: FileHandle;
  readonly writes: BatchedWrites;
  /** Behind it the file holds nothing: its size, or the end of the furthest write. */
  dataEnd: number;
  volsize: bigint;
  volblocksize: number | undefined;
  writtenBytes: number;
}

/**
 * Applies the stream of a volume to the file that `openTarget` gives: data is written in
 * place; what a FREE names is cut off where it reaches the end of the file's data, else
 * zeroed where there is anything but zeros (in a fresh file there is nothing); in the end
 * the size is set, and the data is on the disk.
 * Rejects with a StreamFailure for a bad stream, else with what `source`, `openTarget` or
 * the file threw; the file is of no use then, and nothing is under way on it any more.
 */
export async function receiveVolume({ source, openTarget }: ReceiveVolumeOptions): Promise<ReceivedVolume> {
  const reader = createVolumeReader();
  let incoming: Incoming | undefined;
  const started = () => {
    if (!incoming) throw new Error("the reader gave a record before the begin of its stream");
    return incoming;
  };
  try {
    for await (const chunk of source) {
      for (const event of reader.push(chunk)) {
        switch (event.kind) {
          case "begin": {
            const file = await openTarget(event.begin);
            const { size } = await file.stat();
            incoming = {
              begin: event.begin,
              file,
              writes: createBatchedWrites(file),
              dataEnd: size,
              volsize: BigInt(size),
              volblocksize: undefined,
              writtenBytes: 0,
            };
            break;
          }
          case "size":
            started().volsize = event.volsize;
            break;
          case "blocksize":
            started().volblocksize = event.volblocksize;
            break;
          case "write": {
            const volume = started();
            await volume.writes.write(event.offset, event.data);
            volume.dataEnd = Math.max(volume.dataEnd, event.offset + event.data.length);
            volume.writtenBytes += event.data.length;
            break;
          }
          case "free": {
            const volume = started();
            if (event.offset >= volume.dataEnd) break;
            await volume.writes.settle();
            if (event.offset + event.length >= volume.dataEnd) {
              await volume.file.truncate(event.offset);
              volume.dataEnd = event.offset;
            } else {
              await clear(volume.file, event.offset, event.offset + event.length);
            }
            break;
          }
          case "end":
            break;
        }
      }
    }
    reader.finish();
    const { begin, file, writes, volsize, volblocksize, writtenBytes } = started();
    await writes.settle();
    await file.truncate(Number(volsize));
    await file.datasync();
    return { begin, volsize, volblocksize, writtenBytes, recordCounts: { ...reader.recordCounts } };
  } finally {
    await incoming?.writes.settle().catch(() => {});
  }
}
