import type { FileHandle } from "node:fs/promises";

/** Fills `piece` with the bytes of the file from `offset` on; what lies behind its end is zeros. */
async function readPiece(file: FileHandle, piece: Buffer, offset: number): Promise<Buffer> {
  let filled = 0;
  while (filled < piece.length) {
    const { bytesRead } = await file.read(piece, filled, piece.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return piece.fill(0, filled);
}

/** A piece of a disk. */
export interface DiskPiece {
  /** Where it begins. */
  readonly offset: number;
  readonly data: Buffer;
}

/**
 * Reads the pieces of `pieceBytes` at `offsets` of a file, in that order; one that reaches beyond
 * `length` is cut there. Reads one piece ahead. A piece is valid until the next one is taken.
 */
export async function* readPieces(
  file: FileHandle,
  offsets: Iterable<number>,
  length: number,
  pieceBytes: number,
): AsyncGenerator<DiskPiece> {
  const buffers = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const;
  const places = offsets[Symbol.iterator]();
  /** How many reads were started; each uses the buffer that the one before did not. */
  let started = 0;
  const startReading = () => {
    const place = places.next();
    if (place.done) return undefined;
    const offset = place.value;
    const buffer = started++ % 2 === 0 ? buffers[0] : buffers[1];
    const reading = readPiece(file, buffer.subarray(0, Math.min(pieceBytes, length - offset)), offset);
    // It may fail before anyone awaits it. The error is not lost: the loop below awaits it next.
    reading.catch(() => {});
    return { offset, reading };
  };
  let ahead = startReading();
  try {
    while (ahead) {
      const { offset, reading } = ahead;
      const data = await reading;
      ahead = startReading();
      yield { offset, data };
    }
  } finally {
    // The caller closes the file afterwards: no read may be in flight then.
    await ahead?.reading.catch(() => {});
  }
}

/** A buffer of zeros in place of each piece that readPieces would read at these offsets. */
export async function* zeroPieces(
  offsets: Iterable<number>,
  length: number,
  pieceBytes: number,
): AsyncGenerator<DiskPiece> {
  const zeros = Buffer.alloc(pieceBytes);
  for (const offset of offsets)
    yield { offset, data: zeros.subarray(0, Math.min(pieceBytes, length - offset)) };
}
