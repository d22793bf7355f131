import { type FileHandle, open } from "node:fs/promises";

/** Writes all of `data`, at `offset` or (without one) where the last write ended: a write may take less than it is given. */
export async function writeWhole(file: FileHandle, data: Uint8Array, offset?: number): Promise<void> {
  for (let written = 0; written < data.length; ) {
    const at = offset === undefined ? null : offset + written;
    written += (await file.write(data, written, data.length - written, at)).bytesWritten;
  }
}

/** Has the disk keep what was done to a file, or to the names in a folder. */
export async function sync(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

/** What is left out when it is zero: the block of common file systems. */
const HOLE_BYTES = 4096;

function isZero(block: Buffer): boolean {
  // Equal to itself a byte later, and zero to begin with.
  return (
    block.length === 0 || (block[0] === 0 && block.compare(block, 1, block.length, 0, block.length - 1) === 0)
  );
}

/** Writes the runs of `chunk`, which belongs at `at`, that are not zero; the others stay holes. */
export async function writeSparse(file: FileHandle, chunk: Buffer, at: number): Promise<void> {
  if (isZero(chunk)) return;
  let start = -1;
  const flush = async (end: number) => {
    if (start >= 0) await writeWhole(file, chunk.subarray(start, end), at + start);
    start = -1;
  };
  for (let offset = 0; offset < chunk.length; offset += HOLE_BYTES) {
    if (isZero(chunk.subarray(offset, offset + HOLE_BYTES))) await flush(offset);
    else if (start < 0) start = offset;
  }
  await flush(chunk.length);
}
