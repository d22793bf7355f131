import { randomBytes } from "node:crypto";
import { fstatSync, readFileSync } from "node:fs";
import { type FileHandle, open, readFile, stat, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDirect } from "../../../protocol/raw-disk/direct-reads.js";
import { filePieces, type GivePieces } from "../../../protocol/raw-disk/disk-pieces.js";
import { writeSparse } from "../../../protocol/raw-disk/file-writes.js";
import { hasLargeHoles } from "../../../protocol/raw-disk/find-data.js";
import { CommandFailure } from "./command-failure.js";
import { findDiskData } from "./disk-data.js";

/** The file that has a disk, raw or in another format. */
export interface DiskFile {
  /** May be opened any number of times until `close`, also by child processes. */
  readonly path: string;
  /** How messages call it. */
  readonly name: string;
  /** The size of the file. */
  readonly bytes: number;
  close(): Promise<void>;
}

/** A disk to read. */
export interface SourceDisk {
  readonly bytes: number;
  /** Once. What is behind the end of the disk is zeros. */
  readonly pieces: GivePieces;
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

async function openPath(path: string, name: string): Promise<DiskFile> {
  const found = await stat(path, { bigint: true });
  const close = async () => {};
  if (found.isFile()) return { path, name, bytes: Number(found.size), close };
  if (found.isBlockDevice()) return { path, name, bytes: await deviceBytes(found.rdev), close };
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

/** A path of a descriptor of this process that other processes can open too. */
const pathOfDescriptor = (fd: number) => `/proc/${process.pid}/fd/${fd}`;

/**
 * Copies a pipe to an unlinked temporary file, because a stream begins with the size of
 * the disk. The kernel frees the file when the process ends, however it ends.
 */
async function spool(pipe: AsyncIterable<Buffer>): Promise<DiskFile> {
  const temporary = join(tmpdir(), `imagestore-${randomBytes(8).toString("hex")}`);
  const handle = await open(temporary, "wx+");
  await unlink(temporary);
  try {
    const bytes = await copySparse(pipe, handle);
    return { path: pathOfDescriptor(handle.fd), name: "stdin", bytes, close: () => handle.close() };
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
 * Opens the file of a disk: a file, a block device, or stdin for `-`. A pipe is first copied to a
 * temporary file in $TMPDIR, and so is a stdin of which others have read a part: the disk is the rest.
 * Fails: a CommandFailure for a path of any other type; errors of the file.
 */
export async function openDiskFile(file: string): Promise<DiskFile> {
  if (file !== "-") return openPath(file, file);
  const stdin = fstatSync(0);
  // Opened again by its path, a file begins at its start, and not where others have read up to.
  return (stdin.isFile() || stdin.isBlockDevice()) && stdinOffset() === 0
    ? openPath(pathOfDescriptor(0), "stdin")
    : spool(process.stdin);
}

/** Opens a raw disk. Its pieces end with ShrunkDisk when the file becomes shorter. Rejects with errors of the file. */
export async function openRawDisk({ path, bytes }: DiskFile): Promise<SourceDisk> {
  const dataRanges = await findDiskData(path);
  // Nothing tells where its holes are.
  const readsHoles = !dataRanges && hasLargeHoles(await stat(path));
  const direct = readsHoles ? await openDirect(path, bytes) : undefined;
  const handle = direct?.file ?? (await open(path, "r"));
  const pieces = filePieces(handle, bytes, dataRanges, direct?.allocate);
  return { bytes, pieces, close: () => handle.close() };
}
