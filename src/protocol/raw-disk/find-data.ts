import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Readable } from "node:stream";
import type { DataRange } from "./data-ranges.js";

/** A process that is read from. */
interface ReadProcess {
  /** Undefined if it could not be started. */
  readonly stdout: Readable | undefined;
  /** Resolves when it has ended. Never rejects. */
  readonly exited: Promise<unknown>;
  /** Ends it, and closes our end of its stdout. */
  kill(): void;
}

/** Starts a process without a stdin; whoever shares this code has a way of its own. */
export type StartReading = (argv: readonly string[]) => ReadProcess;

/** Fewer bytes of holes are read sooner than a process starts. */
const WORTHWHILE_BYTES = 64 * 1024 * 1024;
/** Ranges that are so close are given as one: to read zeros costs less than to look for them. */
const JOINED_BYTES = 1024 * 1024;
/** The unit of stat's `blocks`, and of an archive. */
const BLOCK_BYTES = 512;
const TIME_LIMIT_MS = 60_000;

/**
 * GNU tar, which writes the map of a sparse file in front of its data: Node can't ask for it
 * (lseek(2) with SEEK_DATA). Source of the format: "Storing Sparse Files" in the manual of tar, version 1.0.
 */
function tarCommand(path: string): readonly string[] {
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

/** Reads the map in front of an archive. Undefined: it has none. */
async function readMap(archive: Readable): Promise<readonly DataRange[] | undefined> {
  const front = createFront(archive);
  const first = await front.take(BLOCK_BYTES);
  if (!first || readHeader(first).type !== "x") return undefined;
  const padded = Math.ceil(readHeader(first).length / BLOCK_BYTES) * BLOCK_BYTES;
  const attributes = await front.take(padded);
  if (!attributes?.includes("GNU.sparse.major=1\n")) return undefined;
  if (!(await front.take(BLOCK_BYTES))) return undefined;
  const count = await front.takeNumber();
  if (count === undefined) return undefined;
  const ranges: { start: number; end: number }[] = [];
  for (let index = 0; index < count; index++) {
    const start = await front.takeNumber();
    const length = await front.takeNumber();
    if (start === undefined || length === undefined) return undefined;
    const last = ranges.at(-1);
    if (last && start - last.end < JOINED_BYTES) last.end = start + length;
    else if (length > 0) ranges.push({ start, end: start + length });
  }
  return ranges;
}

/**
 * Where a file may hold data; it is zeros everywhere else. Costs as much as the file has ranges,
 * however large its holes are. Undefined: not known, so all of it has to be read. That is so where
 * there is little to gain, where there is no GNU tar, and of a device.
 * Rejects with errors of the file system.
 */
export async function findData(path: string, start: StartReading): Promise<readonly DataRange[] | undefined> {
  const found = await stat(path);
  if (!found.isFile()) return undefined;
  const { size, blocks } = found;
  if (blocks === 0) return [];
  if (size - blocks * BLOCK_BYTES < WORTHWHILE_BYTES) return undefined;
  const tar = start(tarCommand(path));
  if (!tar.stdout) return undefined;
  const timeLimit = setTimeout(tar.kill, TIME_LIMIT_MS);
  try {
    return await readMap(tar.stdout);
  } catch {
    // The kill closes the stream in the middle.
    return undefined;
  } finally {
    clearTimeout(timeLimit);
    tar.kill();
    await tar.exited;
  }
}
