import { type FileHandle, open } from "node:fs/promises";
import { createVolumeWriter, type VolumeStreamOptions } from "../zfs-stream/volume-writer.js";
import { type DataRange, piecesWithin } from "./data-ranges.js";
import { type DiskPiece, readPieces, zeroPieces } from "./disk-pieces.js";

export interface SendVolumeOptions {
  /** A raw disk. If it is shorter than `stream.volsize`, zeros are added; if it is longer, the rest is not sent. */
  readonly file: string;
  /** The raw disk of the older snapshot, whose guid is `stream.fromGuid`; without it the stream is a full one. */
  readonly from?: string;
  readonly stream: VolumeStreamOptions;
  /**
   * Where `file` or `from` may hold data, ascending. Both are zeros everywhere else, and not read
   * there. Undefined: not known, so all is read.
   */
  readonly dataRanges?: readonly DataRange[] | undefined;
  /** Takes the next bytes of the stream, which it may keep. Sending waits for the promise. */
  write(chunk: Uint8Array): Promise<void> | void;
  /** How many bytes of `file` are done; called several times a second. */
  onProgress?(bytesRead: number): void;
}

const MIN_PIECE_BYTES = 1024 * 1024;

/** Adjacent blocks of a piece that are all unchanged, all zeros now, or all new data. */
interface BlockRun {
  readonly kind: "unchanged" | "hole" | "data";
  /** Bytes from the start of the piece. */
  readonly start: number;
  readonly end: number;
}

/** Compares a piece with the same piece of the older disk. `zeros`: one block of them. */
function* blockRuns(piece: Buffer, older: Buffer, zeros: Buffer): Generator<BlockRun> {
  if (piece.equals(older)) return;
  const blockBytes = zeros.length;
  const kindAt = (start: number) => {
    const end = Math.min(start + blockBytes, piece.length);
    if (piece.compare(older, start, end, start, end) === 0) return "unchanged";
    return piece.compare(zeros, 0, end - start, start, end) === 0 ? "hole" : "data";
  };
  for (let start = 0; start < piece.length; ) {
    const kind = kindAt(start);
    let end = start + blockBytes;
    while (end < piece.length && kindAt(end) === kind) end += blockBytes;
    // The last block of a volume may be shorter.
    end = Math.min(end, piece.length);
    yield { kind, start, end };
    start = end;
  }
}

/** Writes the stream of a volume from its pieces, given in order. Holes that adjoin become one record. */
function createPieceSender(stream: VolumeStreamOptions, write: SendVolumeOptions["write"]) {
  const writer = createVolumeWriter(stream);
  const zeros = Buffer.alloc(stream.volblocksize);
  /** The hole that is not sent yet, since the next blocks may continue it; empty when start equals end. */
  const hole = { start: 0, end: 0 };

  async function sendHole(): Promise<void> {
    if (hole.end > hole.start) await write(writer.free(hole.start, hole.end - hole.start));
    hole.start = hole.end;
  }

  async function addHole(start: number, end: number): Promise<void> {
    if (start !== hole.end) {
      await sendHole();
      hole.start = start;
    }
    hole.end = end;
  }

  return {
    async begin(): Promise<void> {
      await write(writer.begin());
    },
    /** `offset`: where in the volume both pieces begin. */
    async send(offset: number, piece: Buffer, older: Buffer): Promise<void> {
      for (const { kind, start, end } of blockRuns(piece, older, zeros)) {
        if (kind === "hole") await addHole(offset + start, offset + end);
        else if (kind === "data") {
          await sendHole();
          await write(writer.write(offset + start, piece.subarray(start, end)));
        }
      }
    },
    async end(): Promise<void> {
      await sendHole();
      await write(writer.end());
    },
  };
}

/**
 * Sends a raw disk as the stream of a volume: begin, the blocks that are not zeros, end. With
 * `from` it sends only the blocks that differ; those that became zeros go out as FREE records.
 * Reads both files once, in order, but for the holes that `dataRanges` tells, and needs a few MiB
 * of memory whatever the size.
 * Rejects with what reading or `write` threw; then the stream lacks its end.
 */
export async function sendVolume(options: SendVolumeOptions): Promise<void> {
  const { file, from, stream, write, onProgress, dataRanges } = options;
  const sender = createPieceSender(stream, write);
  const length = Number(stream.volsize);
  const pieceBytes = Math.max(MIN_PIECE_BYTES, stream.volblocksize);

  async function sendPieces(
    pieces: AsyncIterable<DiskPiece>,
    olderPieces: AsyncGenerator<DiskPiece>,
  ): Promise<void> {
    /** Everything before it is done. What no piece covers is zeros in both disks, and no news. */
    let done = 0;
    try {
      await sender.begin();
      for await (const { offset, data } of pieces) {
        const older = await olderPieces.next();
        if (!older.done) await sender.send(offset, data, older.value.data);
        done = offset + data.length;
        onProgress?.(done);
      }
      if (done < length) onProgress?.(length);
      await sender.end();
    } finally {
      await olderPieces.return(undefined);
    }
  }

  const current = await open(file, "r");
  let older: FileHandle | undefined;
  try {
    older = from === undefined ? undefined : await open(from, "r");
    const offsets = () => piecesWithin(dataRanges ?? [{ start: 0, end: length }], length, pieceBytes);
    const olderPieces = older
      ? readPieces(older, offsets(), length, pieceBytes)
      : zeroPieces(offsets(), length, pieceBytes);
    await sendPieces(readPieces(current, offsets(), length, pieceBytes), olderPieces);
  } finally {
    await older?.close();
    await current.close();
  }
}
