import type { FileHandle } from "node:fs/promises";
import type { ResumePlace } from "../zfs-stream/resume-list.js";
import {
  createVolumeReader,
  type StreamBegin,
  type VolumeEvent,
  type VolumeEventKind,
} from "../zfs-stream/volume-reader.js";
import { type BatchedWrites, createBatchedWrites } from "./batched-writes.js";
import { zeroRange } from "./file-writes.js";
import { createKeptPlaces, type KeptPlaces, type SavePlace } from "./kept-places.js";

interface ReceiveVolumeOptions {
  /** The stream, gunzipped. It is read to its end or, when something is wrong with it, up to there. */
  readonly source: AsyncIterable<Uint8Array>;
  /**
   * Opens the file that takes the volume, for reading and writing: an empty one for a full
   * stream, a copy of the older snapshot's disk for an incremental one. May throw to refuse the
   * stream, and what an earlier part of it has left for the rest of a stream, which is read with `save` only.
   * The caller closes the file.
   */
  openTarget(begin: StreamBegin, resume: ResumePlace | undefined): Promise<FileHandle>;
  /** The size of the older snapshot's disk, bytes; undefined: that of the file as it was opened. */
  readonly olderBytes?: bigint | undefined;
  /**
   * Is told now and then up to where the data is on the disk, and again when the stream breaks: another one may go on
   * there. What rejects makes the receive fail.
   */
  readonly save?: SavePlace | undefined;
  /** Called with each size that the volume is known to reach, in bytes. May throw to refuse the stream. */
  checkSize?(bytes: bigint): void;
  /** Awaited before so many bytes more are written. May reject to refuse the stream. */
  takeRoom?(bytes: number): Promise<void>;
}

export interface ReceivedVolume {
  readonly begin: StreamBegin;
  /** Bytes. An incremental stream may not state it; then it is the size that the file had. */
  readonly volsize: bigint;
  /** Bytes; undefined where an incremental stream does not state it. */
  readonly volblocksize: number | undefined;
  /** Bytes of data in the stream, without holes. */
  readonly writtenBytes: number;
  readonly recordCounts: Readonly<Record<string, number>>;
}

/** A volume that is being received. */
interface IncomingVolume {
  readonly begin: StreamBegin;
  readonly file: FileHandle;
  readonly writes: BatchedWrites;
  readonly kept: KeptPlaces | undefined;
  /** The end of the last write; where a resumed stream went on. */
  place: number;
  /** There is no data in the file from here on: its size, or the end of the furthest write. */
  dataEnd: number;
  volsize: bigint;
  volblocksize: number | undefined;
  writtenBytes: number;
  /** All has come: no place in it is of use any more. */
  isWhole: boolean;
}

/** What each kind of event does to the file. Undefined: it is done already. */
type Steps = {
  readonly [Kind in VolumeEventKind]: (event: VolumeEvent<Kind>) => Promise<void> | undefined;
};

/** A raw disk that takes the events of one stream, in their order and one at a time. */
function createTargetDisk(
  { openTarget, checkSize, takeRoom, olderBytes, save }: Omit<ReceiveVolumeOptions, "source">,
  streamBytes: () => number,
) {
  /** Undefined until the first event, which is the stream's begin. */
  let incoming: IncomingVolume | undefined;
  const volume = () => {
    if (!incoming) throw new Error("the reader gave a record before the begin of its stream");
    return incoming;
  };

  const steps: Steps = {
    async begin({ begin, resume }) {
      const file = await openTarget(begin, resume);
      const { size } = await file.stat();
      const writes = createBatchedWrites(file);
      const place = resume?.offset ?? 0;
      incoming = {
        begin,
        file,
        writes,
        kept: save && createKeptPlaces(file, writes, place, save),
        place,
        dataEnd: size,
        volsize: olderBytes ?? BigInt(size),
        volblocksize: undefined,
        writtenBytes: 0,
        isWhole: false,
      };
    },
    async size({ volsize }) {
      checkSize?.(volsize);
      volume().volsize = volsize;
    },
    async blocksize({ volblocksize }) {
      volume().volblocksize = volblocksize;
    },
    write({ offset, data }) {
      const disk = volume();
      // The last block may reach beyond the volume's end, so only its begin counts.
      checkSize?.(BigInt(offset) + 1n);
      // All before this block was given to `writes`.
      disk.kept?.reached(disk.place, streamBytes());
      disk.dataEnd = Math.max(disk.dataEnd, offset + data.length);
      disk.writtenBytes += data.length;
      const put = () => {
        disk.place = offset + data.length;
        return disk.writes.write(offset, data);
      };
      return takeRoom ? takeRoom(data.length).then(put) : put();
    },
    async free({ offset, length }) {
      const disk = volume();
      if (offset >= disk.dataEnd) return;
      // The range may hold data that is only gathered so far.
      await disk.writes.flush();
      if (offset + length >= disk.dataEnd) {
        await disk.file.truncate(offset);
        disk.dataEnd = offset;
      } else {
        await zeroRange(disk.file, offset, offset + length);
      }
    },
    async end() {},
  };

  return {
    apply: <Kind extends VolumeEventKind>(event: VolumeEvent<Kind>) => steps[event.kind](event),
    /** Call it once the stream is known to be whole. Syncs last: when it resolves, all data is on the disk. */
    async complete(): Promise<Omit<ReceivedVolume, "recordCounts">> {
      const disk = volume();
      const { begin, file, writes, kept, volsize, volblocksize, writtenBytes } = disk;
      await writes.finish();
      await kept?.settle();
      // A sync that fails below says so only once: none after it may be believed.
      disk.isWhole = true;
      await file.truncate(Number(volsize));
      await file.datasync();
      return { begin, volsize, volblocksize, writtenBytes };
    },
    /** Resolves when no write is in flight any more, and what came is kept as far as it can be. */
    async leave(): Promise<void> {
      if (!incoming || incoming.isWhole) return;
      const { kept, writes, place } = incoming;
      try {
        await writes.finish();
        await kept?.finish(place, streamBytes());
      } catch {
        // What was saved before stays, and the receive fails for a reason of its own.
        await kept?.settle().catch(() => {});
      }
    },
  };
}

/**
 * Applies the stream of a volume to the file that `openTarget` gives. Data is written in
 * place. A FREE record cuts the file off where it reaches the end of the file's data; else
 * the range is zeroed where it holds anything but zeros. At the end the size is set and the
 * data synced.
 * Rejects with a StreamFailure for a bad stream, else with what `source`, `openTarget`,
 * `checkSize` or the file threw. Then nothing writes to the file any more, and its content is useless but for
 * what `save` was told of.
 */
export async function receiveVolume({ source, ...options }: ReceiveVolumeOptions): Promise<ReceivedVolume> {
  const reader = createVolumeReader(options.save !== undefined);
  const target = createTargetDisk(options, () => reader.offset);
  try {
    for await (const chunk of source) {
      for (const event of reader.push(chunk)) {
        // Most blocks only join a batch. To await each of them would take a turn of the queue of promises.
        const work = target.apply(event);
        if (work) await work;
      }
    }
    reader.finish();
    return { ...(await target.complete()), recordCounts: { ...reader.recordCounts } };
  } catch (error) {
    await target.leave();
    throw error;
  }
}
