import type { FileHandle } from "node:fs/promises";
import { type DataRange, piecesWithin } from "./data-ranges.js";
import type { Allocate } from "./direct-reads.js";

/** Reads a part of a disk or a file: from `offset` into the begin of `buffer`. @returns what was read, of that buffer. */
type ReadPiece = (buffer: Buffer, offset: number) => Promise<Buffer>;

/** A piece of a disk. */
export interface DiskPiece {
  /** Where it begins. */
  readonly offset: number;
  readonly data: Buffer;
}

/**
 * Gives the pieces of a disk, each at a multiple of `pieceBytes` and that long, or up to `length`; ascending.
 * What no piece covers is zeros. A piece is valid until the next one is taken.
 */
export type GivePieces = (pieceBytes: number, length: number) => AsyncIterable<DiskPiece>;

/** A disk became shorter while it was read. */
export class ShrunkDisk extends Error {
  override readonly name = "ShrunkDisk";
  readonly code = "EIO";

  constructor(bytes: number, found: number) {
    super(`it became shorter while it was read: it had ${bytes} bytes, and ends at ${found}`);
  }
}

/** Reads until the buffer is full or the file ends. */
export function fileReader(file: FileHandle): ReadPiece {
  return async (buffer, offset) => {
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  };
}

/**
 * Reads a disk of `bytes` whole: what lies behind its end is zeros. Rejects with ShrunkDisk where `read`
 * finds an end before that.
 */
function diskReader(read: ReadPiece, bytes: number): ReadPiece {
  return async (buffer, offset) => {
    const there = Math.max(0, Math.min(buffer.length, bytes - offset));
    const { length } = await read(buffer.subarray(0, there), offset);
    if (length < there) throw new ShrunkDisk(bytes, offset + length);
    return buffer.fill(0, there);
  };
}

/** So many reads are under way while a piece is worked on. More did not make anything faster. */
const READS_AHEAD = 2;

const allocateAnywhere: Allocate = (bytes) => Buffer.allocUnsafeSlow(bytes);

/**
 * Reads pieces of up to `pieceBytes` at `offsets`, in that order, and some ahead. A piece is valid until
 * the next one is taken. `length`: pieces are cut there.
 */
export async function* readPieces(
  read: ReadPiece,
  offsets: Iterable<number>,
  pieceBytes: number,
  length = Number.POSITIVE_INFINITY,
  allocate: Allocate = allocateAnywhere,
): AsyncGenerator<DiskPiece> {
  const buffers = Array.from({ length: READS_AHEAD + 1 }, () => allocate(pieceBytes));
  const places = offsets[Symbol.iterator]();
  /** The reads that were started, in order. Each has a buffer of its own. */
  const ahead: { readonly offset: number; readonly buffer: Buffer; readonly reading: Promise<Buffer> }[] = [];
  const startReading = (buffer: Buffer) => {
    const place = places.next();
    if (place.done) return;
    const offset = place.value;
    const reading = read(buffer.subarray(0, Math.min(pieceBytes, length - offset)), offset);
    // It may fail before anyone awaits it. The error is not lost: the loop below awaits it in its turn.
    reading.catch(() => {});
    ahead.push({ offset, buffer, reading });
  };
  for (const buffer of buffers) startReading(buffer);
  try {
    for (let first = ahead.shift(); first; first = ahead.shift()) {
      yield { offset: first.offset, data: await first.reading };
      startReading(first.buffer);
    }
  } finally {
    // The caller closes the file afterwards: no read may be in flight then.
    await Promise.allSettled(ahead.map(({ reading }) => reading));
  }
}

/**
 * The pieces of a disk in an open file. Reads ahead, and reads nothing of holes that are told.
 * `bytes`: the size of the disk: zeros follow. The iteration throws ShrunkDisk when the file ends before.
 */
export function filePieces(
  file: FileHandle,
  bytes: number,
  dataRanges: readonly DataRange[] | undefined,
  allocate?: Allocate,
): GivePieces {
  const read = diskReader(fileReader(file), bytes);
  return (pieceBytes, length) => {
    const ranges = dataRanges ?? [{ start: 0, end: Math.min(bytes, length) }];
    return readPieces(read, piecesWithin(ranges, length, pieceBytes), pieceBytes, length, allocate);
  };
}

/** The places of all pieces of a file whose end is not known. */
export function* allPlaces(pieceBytes: number): Generator<number> {
  for (let offset = 0; ; offset += pieceBytes) yield offset;
}
