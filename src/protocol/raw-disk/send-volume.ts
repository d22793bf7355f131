import { type FileHandle, open } from "node:fs/promises";
import { createVolumeWriter, type VolumeStreamOptions } from "../zfs-stream/volume-writer.js";

export interface SendVolumeOptions {
  /** A raw disk. Where it is shorter than `stream.volsize` the rest reads as zeros; what is behind is left out. */
  readonly file: string;
  /** The raw disk of the older snapshot, whose guid is `stream.fromGuid`; without it the stream is a full one. */
  readonly from?: string;
  readonly stream: VolumeStreamOptions;
  /** Takes the next bytes of the stream, to keep; they are gone on with when the promise settles. */
  write(chunk: Uint8Array): Promise<void> | void;
  /** How many bytes of `file` have been looked at, some times a second. */
  onProgress?(bytesRead: number): void;
}

const READ_BYTES = 1024 * 1024;

/** Fills `piece` from `offset` on; what the file lacks is zeros. */
async function fill(file: FileHandle, piece: Buffer, offset: number): Promise<Buffer> {
  let filled = 0;
  while (filled < piece.length) {
    const { bytesRead } = await file.read(piece, filled, piece.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return piece.fill(0, filled);
}

/** The first `length` bytes of a file in pieces, the next one read meanwhile. A piece is good until the next is asked for. */
async function* piecesOf(file: FileHandle, length: number, pieceBytes: number): AsyncGenerator<Buffer> {
  const buffers = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const;
  const start = (index: number) => {
    const offset = index * pieceBytes;
    const buffer = buffers[(index % 2) as 0 | 1].subarray(
      0,
      Math.max(0, Math.min(pieceBytes, length - offset)),
    );
    const piece = fill(file, buffer, offset);
    // It may fail while nobody waits for it; whoever does is told.
    piece.catch(() => {});
    return piece;
  };
  let ahead = start(0);
  try {
    for (let index = 0; index * pieceBytes < length; index++) {
      const piece = await ahead;
      ahead = start(index + 1);
      yield piece;
    }
  } finally {
    await ahead.catch(() => {});
  }
}

/** The same size of nothing, again and again. */
async function* zerosOf(length: number, pieceBytes: number): AsyncGenerator<Buffer> {
  const zeros = Buffer.alloc(pieceBytes);
  for (let offset = 0; offset < length; offset += pieceBytes) {
    yield zeros.subarray(0, Math.min(pieceBytes, length - offset));
  }
}

interface Run {
  readonly kind: "same" | "hole" | "data";
  readonly start: number;
  readonly end: number;
}

/** Neighbouring blocks of one kind: as they were before, zeros now, or new data. */
function* runsOf(piece: Buffer, before: Buffer, zeros: Buffer, blockBytes: number): Generator<Run> {
  if (piece.equals(before)) return;
  const kindAt = (start: number) => {
    const end = Math.min(start + blockBytes, piece.length);
    if (piece.compare(before, start, end, start, end) === 0) return "same";
    return piece.compare(zeros, 0, end - start, start, end) === 0 ? "hole" : "data";
  };
  for (let start = 0; start < piece.length; ) {
    const kind = kindAt(start);
    let end = start + blockBytes;
    while (end < piece.length && kindAt(end) === kind) end += blockBytes;
    // The last block of a volume may be a part of one.
    end = Math.min(end, piece.length);
    yield { kind, start, end };
    start = end;
  }
}

/**
 * Sends a raw disk as the stream of a volume: begin, the blocks that are not zeros, end.
 * With `from` only blocks that differ go out, and those that became zeros as FREE.
 * Memory is bounded by some MiB whatever the size; both files are read once, in order.
 * Rejects with what reading or `write` threw; the stream has no end then.
 */
export async function sendVolume({
  file,
  from,
  stream,
  write,
  onProgress,
}: SendVolumeOptions): Promise<void> {
  const writer = createVolumeWriter(stream);
  const length = Number(stream.volsize);
  const blockBytes = stream.volblocksize;
  const pieceBytes = Math.max(READ_BYTES, blockBytes);
  const zeros = Buffer.alloc(blockBytes);
  const hole = { start: 0, end: 0 };
  const emit = async (chunk: Uint8Array) => {
    await write(chunk);
  };
  const emitHole = async () => {
    if (hole.end > hole.start) await emit(writer.free(hole.start, hole.end - hole.start));
    hole.start = hole.end;
  };
  const emitRuns = async (offset: number, piece: Buffer, before: Buffer) => {
    for (const { kind, start, end } of runsOf(piece, before, zeros, blockBytes)) {
      if (kind === "hole") {
        if (offset + start !== hole.end) {
          await emitHole();
          hole.start = offset + start;
        }
        hole.end = offset + end;
      } else if (kind === "data") {
        await emitHole();
        await emit(writer.write(offset + start, piece.subarray(start, end)));
      }
    }
  };
  const current = await open(file, "r");
  let older: FileHandle | undefined;
  try {
    older = from === undefined ? undefined : await open(from, "r");
    const olderPieces = older ? piecesOf(older, length, pieceBytes) : zerosOf(length, pieceBytes);
    try {
      await emit(writer.begin());
      let offset = 0;
      for await (const piece of piecesOf(current, length, pieceBytes)) {
        const before = await olderPieces.next();
        if (!before.done) await emitRuns(offset, piece, before.value);
        offset += piece.length;
        onProgress?.(offset);
      }
      await emitHole();
      await emit(writer.end());
    } finally {
      await olderPieces.return(undefined);
    }
  } finally {
    await older?.close();
    await current.close();
  }
}
