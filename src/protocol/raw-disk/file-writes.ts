import { type FileHandle, open } from "node:fs/promises";

/**
 * Writes all of `data`, since one write of the system may take only a part. Writes at
 * `offset` or, without it, at the file's own position.
 */
export async function writeWhole(file: FileHandle, data: Uint8Array, offset?: number): Promise<void> {
  for (let written = 0; written < data.length; ) {
    const position = offset === undefined ? null : offset + written;
    written += (await file.write(data, written, data.length - written, position)).bytesWritten;
  }
}

/** fsync: when it resolves, the content of the file or the names in the folder survive a power cut. */
export async function sync(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

/** The unit in which writeSparse leaves out zeros: the block size of common file systems. */
const HOLE_BYTES = 4096;

function isZero(block: Buffer): boolean {
  // A zero, followed by bytes of which each equals the one before.
  return (
    block.length === 0 || (block[0] === 0 && block.compare(block, 1, block.length, 0, block.length - 1) === 0)
  );
}

/** Writes `chunk` at `offset` of the file, but skips its zeros: in a new file they stay holes. */
export async function writeSparse(file: FileHandle, chunk: Buffer, offset: number): Promise<void> {
  if (isZero(chunk)) return;
  /** Where in the chunk the data starts that is not written yet; -1: there is none. */
  let dataStart = -1;
  const writeDataUpTo = async (end: number) => {
    if (dataStart >= 0) await writeWhole(file, chunk.subarray(dataStart, end), offset + dataStart);
    dataStart = -1;
  };
  for (let at = 0; at < chunk.length; at += HOLE_BYTES) {
    if (isZero(chunk.subarray(at, at + HOLE_BYTES))) await writeDataUpTo(at);
    else if (dataStart < 0) dataStart = at;
  }
  await writeDataUpTo(chunk.length);
}

const ZERO_STEP_BYTES = 128 * 1024;

/** Makes a range read as zeros. Writes only where there is something else, so that holes stay holes. */
export async function zeroRange(file: FileHandle, start: number, end: number): Promise<void> {
  const zeros = Buffer.alloc(ZERO_STEP_BYTES);
  const found = Buffer.allocUnsafe(ZERO_STEP_BYTES);
  for (let offset = start; offset < end; ) {
    const { bytesRead } = await file.read(found, 0, Math.min(ZERO_STEP_BYTES, end - offset), offset);
    if (bytesRead === 0) return;
    const wasZero = found.compare(zeros, 0, bytesRead, 0, bytesRead) === 0;
    if (!wasZero) await writeWhole(file, zeros.subarray(0, bytesRead), offset);
    offset += bytesRead;
  }
}
