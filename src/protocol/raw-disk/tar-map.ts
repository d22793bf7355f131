import { basename, dirname } from "node:path";
import type { Readable } from "node:stream";
import { createRangeList, type DataRange } from "./data-ranges.js";

/** The unit of an archive. */
const BLOCK_BYTES = 512;

/**
 * GNU tar, which writes the map of a sparse file in front of its data: Node can't ask for it
 * (lseek(2) with SEEK_DATA). Source of the format: "Storing Sparse Files" in the manual of tar, version 1.0.
 */
export function tarCommand(path: string): readonly string[] {
  const format = ["--format=posix", "--sparse", "--sparse-version=1.0", "--hole-detection=seek"];
  return [
    "tar",
    "--create",
    "--file=-",
    "--dereference",
    ...format,
    `--directory=${dirname(path)}`,
    "--",
    basename(path),
  ];
}

/** Takes bytes from the front of a stream, however it is cut. */
function createFront(source: Readable) {
  const chunks = source.iterator({ destroyOnReturn: false });
  let have: Buffer = Buffer.alloc(0);

  async function grow(): Promise<boolean> {
    const { value, done } = await chunks.next();
    if (done) return false;
    have = Buffer.concat([have, value]);
    return true;
  }

  return {
    /** Undefined: the stream ends before. */
    async take(length: number): Promise<Buffer | undefined> {
      while (have.length < length) if (!(await grow())) return undefined;
      const taken = have.subarray(0, length);
      have = have.subarray(length);
      return taken;
    },
    /** A decimal number that ends with a line feed. Undefined: something else comes. */
    async takeNumber(): Promise<number | undefined> {
      let end = have.indexOf("\n");
      for (; end < 0; end = have.indexOf("\n")) if (have.length > 20 || !(await grow())) return undefined;
      const line = have.subarray(0, end).toString("latin1");
      have = have.subarray(end + 1);
      return /^\d{1,16}$/.test(line) ? Number(line) : undefined;
    },
  };
}

/** The type and the length of what follows a header of an archive. */
function readHeader(header: Buffer): { readonly type: string; readonly length: number } {
  const octal = header.toString("latin1", 124, 135);
  return { type: header.toString("latin1", 156, 157), length: Number.parseInt(octal, 8) };
}

/** Reads the map in front of an archive of one file, and nothing behind it. Undefined: it has none. */
export async function readTarMap(archive: Readable): Promise<readonly DataRange[] | undefined> {
  const front = createFront(archive);
  const first = await front.take(BLOCK_BYTES);
  if (!first || readHeader(first).type !== "x") return undefined;
  const padded = Math.ceil(readHeader(first).length / BLOCK_BYTES) * BLOCK_BYTES;
  const attributes = await front.take(padded);
  if (!attributes?.includes("GNU.sparse.major=1\n")) return undefined;
  if (!(await front.take(BLOCK_BYTES))) return undefined;
  const count = await front.takeNumber();
  if (count === undefined) return undefined;
  const list = createRangeList();
  for (let index = 0; index < count; index++) {
    const start = await front.takeNumber();
    const length = await front.takeNumber();
    if (start === undefined || length === undefined) return undefined;
    list.add(start, start + length);
  }
  return list.ranges;
}
