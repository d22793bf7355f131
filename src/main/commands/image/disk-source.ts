import { randomBytes } from "node:crypto";
import { fstatSync } from "node:fs";
import { type FileHandle, open, readFile, stat, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSparse } from "../../../protocol/raw-disk/file-writes.js";
import { CommandFailure } from "./command-failure.js";

/** A raw disk to read from: a path that may be opened again, and its size. */
export interface RawDisk {
  readonly path: string;
  readonly bytes: number;
  close(): Promise<void>;
}

const SECTOR_BYTES = 512;

/** The size of a block device. Source: sysfs-block(5); the bits of a device number are those of sys/sysmacros.h. */
async function deviceBytes(device: bigint): Promise<number> {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, "latin1")) * SECTOR_BYTES;
}

async function openFile(path: string, name: string): Promise<RawDisk> {
  const found = await stat(path, { bigint: true });
  const close = async () => {};
  if (found.isFile()) return { path, bytes: Number(found.size), close };
  if (found.isBlockDevice()) return { path, bytes: await deviceBytes(found.rdev), close };
  throw new CommandFailure(`${name} is neither a file nor a block device`);
}

/** Keeps what a pipe gives in a file without a name, as the size must be known before the first byte goes out. */
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
 * Opens a raw disk: a file, a block device, or stdin for `-`. A pipe is kept in a file of
 * $TMPDIR first. Fails: a CommandFailure for anything else; errors of the file.
 */
export async function openRawDisk(file: string): Promise<RawDisk> {
  if (file !== "-") return openFile(file, file);
  const stdin = fstatSync(0);
  return stdin.isFile() || stdin.isBlockDevice()
    ? openFile("/proc/self/fd/0", "stdin")
    : spool(process.stdin as AsyncIterable<Buffer>);
}
