import { randomBytes } from "node:crypto";
import { fstatSync, readFileSync } from "node:fs";
import { type FileHandle, open, readFile, stat, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSparse } from "../../../protocol/raw-disk/file-writes.js";
import { CommandFailure } from "./command-failure.js";

/** A raw disk to read. */
export interface RawDisk {
  /** May be opened any number of times until `close`. */
  readonly path: string;
  readonly bytes: number;
  close(): Promise<void>;
}

/** The unit of `size` in sysfs, whatever the sector size of the device is. */
const SECTOR_BYTES = 512;

/** The size of a block device. Sources: sysfs-block(5); for the bits of a device number, sys/sysmacros.h. */
async function deviceBytes(device: bigint): Promise<number> {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, "latin1")) * SECTOR_BYTES;
}

/** `name` stands for the disk in messages. */
async function openDisk(path: string, name: string): Promise<RawDisk> {
  const found = await stat(path, { bigint: true });
  const close = async () => {};
  if (found.isFile()) return { path, bytes: Number(found.size), close };
  if (found.isBlockDevice()) return { path, bytes: await deviceBytes(found.rdev), close };
  throw new CommandFailure(`${name} is neither a file nor a block device`);
}

async function copySparse(pipe: AsyncIterable<Buffer>, file: FileHandle): Promise<number> {
  let offset = 0;
  for await (const piece of pipe) {
    await writeSparse(file, piece, offset);
    offset += piece.length;
  }
  await file.truncate(offset);
  return offset;
}

/**
 * Copies a pipe to an unlinked temporary file, because a stream begins with the size of
 * the disk. The kernel frees the file when the process ends, however it ends.
 */
async function spool(pipe: AsyncIterable<Buffer>): Promise<RawDisk> {
  const temporary = join(tmpdir(), `imagestore-${randomBytes(8).toString("hex")}`);
  const handle = await open(temporary, "wx+");
  await unlink(temporary);
  try {
    const bytes = await copySparse(pipe, handle);
    return { path: `/proc/self/fd/${handle.fd}`, bytes, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** How far stdin has been read. Source: proc_pid_fdinfo(5). */
function stdinOffset(): number {
  return Number(/^pos:\s+(\d+)/m.exec(readFileSync("/proc/self/fdinfo/0", "latin1"))?.[1] ?? 0);
}

/**
 * Opens a raw disk: a file, a block device, or stdin for `-`. A pipe is first copied to a
 * temporary file in $TMPDIR, and so is a stdin of which others have read a part: the disk is the rest.
 * Fails: a CommandFailure for a path of any other type; errors of the file.
 */
export async function openRawDisk(file: string): Promise<RawDisk> {
  if (file !== "-") return openDisk(file, file);
  const stdin = fstatSync(0);
  // Opened again by its path, a file begins at its start, and not where others have read up to.
  return (stdin.isFile() || stdin.isBlockDevice()) && stdinOffset() === 0
    ? openDisk("/proc/self/fd/0", "stdin")
    : spool(process.stdin);
}
