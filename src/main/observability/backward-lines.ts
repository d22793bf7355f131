import type { FileHandle } from "node:fs/promises";

/** Some lines of a file, newest first. */
export interface LinesBefore {
  readonly lines: readonly { readonly at: number; readonly text: string }[];
  /** How many lines were passed over because they are longer than MOST_LINE_BYTES. */
  readonly tooLong: number;
  /** What is before this byte has not been given yet. */
  readonly left: number;
}

const NEWLINE = 10;
const PIECE_BYTES = 64 * 1024;
/** A line of ours is far shorter. */
export const MOST_LINE_BYTES = 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** Fills `bytes` from a file. @returns whether the file has as much. */
async function readAt(file: FileHandle, position: number, bytes: Buffer): Promise<boolean> {
  for (let filled = 0; filled < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}

/** The whole lines at the end of `bytes`, and how many bytes before them belong to a line that began earlier. */
function splitAtEnd(bytes: Buffer, position: number) {
  const lines: { at: number; text: string }[] = [];
  let end = bytes.length;
  while (end > 0) {
    const newline = bytes.lastIndexOf(NEWLINE, end - 1);
    if (newline < 0 && position > 0) break;
    if (newline + 1 < end)
      lines.push({ at: position + newline + 1, text: bytes.toString("utf8", newline + 1, end) });
    end = Math.max(newline, 0);
  }
  return { lines, rest: end };
}

/**
 * The lines before a byte of a file, from the last to the first, without the empty ones. It reads a piece at a
 * time, and holds that and the beginning of one line. Where the file has become shorter it ends early: then
 * the last `left` is not 0.
 */
export async function* linesBackwards(file: FileHandle, end: number): AsyncGenerator<LinesBefore, void> {
  /** Each piece comes into the same memory: a file of a gigabyte has more than the collector is quick to take back. */
  const memory = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end));
  /** What was read of a line whose beginning is further before. */
  let rest: Buffer = NOTHING;
  /** It is too long to be kept: nothing of it is. */
  let isTooLong = false;
  for (let position = end; position > 0; ) {
    const piece = memory.subarray(0, Math.min(PIECE_BYTES, position));
    position -= piece.length;
    if (!(await readAt(file, position, piece))) return;
    let bytes = rest.length === 0 ? piece : Buffer.concat([piece, rest]);
    let tooLong = 0;
    if (isTooLong) {
      const newline = piece.lastIndexOf(NEWLINE);
      bytes = piece.subarray(0, newline + 1);
      isTooLong = newline < 0 && position > 0;
      if (!isTooLong) tooLong++;
    }
    const split = splitAtEnd(bytes, position);
    rest = Buffer.from(bytes.subarray(0, split.rest));
    if (rest.length > MOST_LINE_BYTES) {
      isTooLong = true;
      rest = NOTHING;
    }
    yield { lines: split.lines, tooLong, left: position + rest.length };
  }
}
