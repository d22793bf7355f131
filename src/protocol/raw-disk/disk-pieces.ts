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

/**
 * The first `length` bytes of a file in pieces of `pieceBytes`; the last one may be shorter.
 * Reads one piece ahead. A piece is valid until the next one is taken.
 */
export async function* readPieces(
  file: FileHandle,
  length: number,
  pieceBytes: number,
): AsyncGenerator<Buffer> {
  const evenPieces = Buffer.allocUnsafe(pieceBytes);
  const oddPieces = Buffer.allocUnsafe(pieceBytes);
  const startReading = (index: number) => {
    const offset = index * pieceBytes;
    const buffer = index % 2 === 0 ? evenPieces : oddPieces;
    const piece = buffer.subarray(0, Math.max(0, Math.min(pieceBytes, length - offset)));
    const reading = readPiece(file, piece, offset);
    // It may fail before anyone awaits it. The error is not lost: the loop below awaits it next.
    reading.catch(() => {});
    return reading;
  };
  let ahead = startReading(0);
  try {
    for (let index = 0; index * pieceBytes < length; index++) {
      const piece = await ahead;
      ahead = startReading(index + 1);
      yield piece;
    }
  } finally {
    // The caller closes the file afterwards: no read may be in flight then.
    await ahead.catch(() => {});
  }
}

/** `length` zeros in pieces of `pieceBytes`, all the same buffer. */
export async function* zeroPieces(length: number, pieceBytes: number): AsyncGenerator<Buffer> {
  const zeros = Buffer.alloc(pieceBytes);
  for (let offset = 0; offset < length; offset += pieceBytes) {
    yield zeros.subarray(0, Math.min(pieceBytes, length - offset));
  }
}
