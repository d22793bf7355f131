import { createVolumeWriter, type VolumeStreamOptions } from "../zfs-stream/volume-writer.js";
import type { DiskPiece, GivePieces } from "./disk-pieces.js";
import { createWriteBehind } from "./write-behind.js";

/**
 * Takes the next bytes of a stream. They stay as they are until the promise resolves, and the next call
 * comes after that.
 */
export type WriteStream = (chunk: Uint8Array) => Promise<void> | void;

interface SendDiskOptions {
  readonly pieces: GivePieces;
  /**
   * The pieces of the older snapshot, whose guid is `stream.fromGuid`, in the same places; without it the
   * stream is a full one.
   */
  readonly olderPieces?: GivePieces | undefined;
  /** The older snapshot is not at hand: all blocks are sent, those that are zeros as FREE records. */
  readonly isOlderUnknown?: boolean;
  /** With `resumeAt`, the pieces may begin there: what they have before it is not sent. */
  readonly stream: VolumeStreamOptions;
  readonly write: WriteStream;
  /** How many bytes of the disk are done; called several times a second. */
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

/** Compares a piece with the same piece of the older disk; undefined: all may be new. `zeros`: one block of them. */
function* blockRuns(piece: Buffer, older: Buffer | undefined, zeros: Buffer): Generator<BlockRun> {
  if (older && piece.equals(older)) return;
  const blockBytes = zeros.length;
  const kindAt = (start: number) => {
    const end = Math.min(start + blockBytes, piece.length);
    if (older && piece.compare(older, start, end, start, end) === 0) return "unchanged";
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

/**
 * Writes the stream of a volume from its pieces, given in order. Holes that adjoin become one record,
 * and all records of a piece are written at once.
 */
function createPieceSender(stream: VolumeStreamOptions, pieceBytes: number, write: WriteStream) {
  const writer = createVolumeWriter(stream);
  const zeros = Buffer.alloc(stream.volblocksize);
  // Holes in a piece take less than the records of its data would, but one may be left from those before it.
  const behind = createWriteBehind(writer.freeBytes + writer.writeBytes(pieceBytes));
  /** The hole that is not sent yet, since the next blocks may continue it; empty when start equals end. */
  const hole = { start: 0, end: 0 };

  /** Puts the hole that is not sent yet to the begin of `to`. @returns its length there. */
  function putHole(to: Buffer): number {
    const { start, end } = hole;
    hole.start = end;
    return end > start ? writer.free(start, end - start, to).length : 0;
  }

  return {
    begin: async () => write(writer.begin()),
    /** `offset`: where in the volume both pieces begin. */
    async send(offset: number, piece: Buffer, older: Buffer | undefined): Promise<void> {
      /** Takes the records of this piece. Undefined while it has none. */
      let records: Buffer | undefined;
      let length = 0;
      for (const { kind, start, end } of blockRuns(piece, older, zeros)) {
        if (kind === "unchanged") continue;
        const continues = offset + start === hole.end;
        if (kind === "hole" && (continues || hole.start === hole.end)) {
          if (!continues) hole.start = offset + start;
          hole.end = offset + end;
          continue;
        }
        records ??= await behind.take();
        length += putHole(records.subarray(length));
        if (kind === "data") {
          const data = piece.subarray(start, end);
          length += writer.write(offset + start, data, records.subarray(length)).length;
        } else {
          hole.start = offset + start;
          hole.end = offset + end;
        }
      }
      if (records) {
        const chunk = records.subarray(0, length);
        behind.put(records, () => write(chunk));
      }
    },
    /** A hole that begins where the last piece or hole has ended, all of which was sent. */
    addHole(start: number, end: number): void {
      if (hole.start === hole.end) hole.start = start;
      hole.end = end;
    },
    async end(): Promise<void> {
      const records = await behind.take();
      const lastHole = records.subarray(0, putHole(records));
      const end = writer.end();
      behind.put(records, async () => {
        if (lastHole.length > 0) await write(lastHole);
        await write(end);
      });
      await behind.flush();
    },
    /** Resolves when no write is under way any more, however the stream ended. */
    idle: () => behind.flush().catch(() => {}),
  };
}

/** Zeros in place of an older disk. */
function zeroPieces(pieceBytes: number): (length: number) => Promise<Buffer> {
  const zeros = Buffer.alloc(pieceBytes);
  return async (length) => zeros.subarray(0, length);
}

/** The data of the older pieces, one by one. */
function takePieces(pieces: AsyncIterator<DiskPiece>): () => Promise<Buffer> {
  return async () => {
    const next = await pieces.next();
    if (next.done) throw new Error("the older disk has fewer pieces than the newer one");
    return next.value.data;
  };
}

/**
 * Sends a disk as the stream of a volume: begin, the blocks that are not zeros, end. With `olderPieces` it
 * sends only the blocks that differ; those that became zeros go out as FREE records. The rest of a stream that broke
 * has the records that the whole one has from there on. Needs a few MiB of memory whatever the size.
 * Rejects with what the pieces or `write` threw; then the stream lacks its end, and nothing is written any more.
 */
export async function sendDisk(options: SendDiskOptions): Promise<void> {
  const { pieces, olderPieces, isOlderUnknown = false, stream, write, onProgress } = options;
  const length = Number(stream.volsize);
  const pieceBytes = Math.max(MIN_PIECE_BYTES, stream.volblocksize);
  const start = stream.resumeAt ?? 0;
  const sender = createPieceSender(stream, pieceBytes, write);
  const older = olderPieces?.(pieceBytes, length)[Symbol.asyncIterator]();
  const takeOlder = older ? takePieces(older) : zeroPieces(pieceBytes);
  /** Everything before it is done. What no piece covers is zeros in both disks, and no news where both are known. */
  let done = Math.min(start, length);
  try {
    await sender.begin();
    for await (const { offset, data } of pieces(pieceBytes, length)) {
      if (isOlderUnknown && offset > done) sender.addHole(done, offset);
      const olderData = isOlderUnknown ? undefined : await takeOlder(data.length);
      /** How much of the piece was sent before. */
      const sent = Math.min(Math.max(0, start - offset), data.length);
      await sender.send(offset + sent, data.subarray(sent), olderData?.subarray(sent));
      done = offset + data.length;
      onProgress?.(done);
    }
    if (isOlderUnknown && length > done) sender.addHole(done, length);
    if (done < length) onProgress?.(length);
    await sender.end();
  } finally {
    await older?.return?.();
    await sender.idle();
  }
}
