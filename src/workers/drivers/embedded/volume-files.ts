import { randomBytes } from "node:crypto";
import { constants, rmSync } from "node:fs";
import {
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  statfs,
  symlink,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { sync, writeSparse } from "../../../protocol/raw-disk/file-writes.js";
import { type DatasetName, devicePath } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";

/**
 * The files of an embedded pool. `volumes/FILE` holds the data of volumes and
 * snapshots, sparse, under names that are never used again; `zvol/POOL/NAME` is a
 * link to a volume's file, as /dev/zvol has them; `incoming/` is where streams are
 * received. What lies on the disk when a call resolves stays there.
 */
export interface VolumeFiles {
  /** Where the links to volumes are, an absolute path. */
  readonly devices: string;
  pathOf(file: string): string;
  create(file: string, size: Bytes): Promise<void>;
  /** By reference where the file system can, else what is not zero. @returns the bytes that the copy takes. */
  copy(from: string, to: string): Promise<Bytes>;
  /** Takes a file from elsewhere in the pool's folder. @returns the bytes that it takes. */
  adopt(path: string, file: string): Promise<Bytes>;
  remove(file: string): Promise<void>;
  /** The bytes that a file takes; its size may be more. */
  heldBy(file: string): Promise<Bytes>;
  link(volume: DatasetName, file: string): Promise<void>;
  unlink(volume: DatasetName): Promise<void>;
  /** A new folder to receive a stream in. */
  incomingPath(name: string): string;
  removeIncoming(name: string): Promise<void>;
  /** What the file system has left. */
  available(): Promise<Bytes>;
  /** Removes files that nobody uses and everything incoming, and makes the links anew. @returns the files removed. */
  sweep(uses: (file: string) => boolean, volumes: Iterable<[DatasetName, string]>): Promise<number>;
}

const COPY_BYTES = 1024 * 1024;
/** stat's unit, whatever the file system's block is. */
const STAT_BLOCK_BYTES = 512;

/** The codes of a file system that can't share blocks between files. */
const NO_REFLINK = new Set(["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EXDEV", "ENOTTY"]);

async function heldByFile(path: string): Promise<Bytes> {
  const { blocks } = await lstat(path, { bigint: true });
  return bytes(blocks * BigInt(STAT_BLOCK_BYTES));
}

/** Buffers that no copy uses now. A new one for each copy would have the thread collect garbage all the time. */
const spareChunks: Buffer[] = [];
const MOST_SPARE_CHUNKS = 4;

/** Copies what is not zero. Reads holes too: Node can't ask where they are. */
async function copySparse(fromPath: string, toPath: string): Promise<void> {
  await using from = await open(fromPath, "r");
  await using to = await open(toPath, "wx");
  const { size, blocks } = await from.stat();
  if (blocks > 0) await copyData(from, to, size);
  await to.truncate(size);
}

async function copyData(from: FileHandle, to: FileHandle, size: number): Promise<void> {
  const chunk = spareChunks.pop() ?? Buffer.allocUnsafe(COPY_BYTES);
  try {
    for (let at = 0; at < size; ) {
      const { bytesRead } = await from.read(chunk, 0, COPY_BYTES, at);
      if (bytesRead === 0) break;
      await writeSparse(to, chunk.subarray(0, bytesRead), at);
      at += bytesRead;
    }
  } finally {
    if (spareChunks.length < MOST_SPARE_CHUNKS) spareChunks.push(chunk);
  }
}

/** A copy of `from` that shares its blocks where the file system can, else a sparse one. */
export async function copyVolume(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
  } catch (error) {
    if (!NO_REFLINK.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await rm(to, { force: true });
    await copySparse(from, to);
  }
}

/** A name in `volumes/` that nobody has had. */
export function newFile(): string {
  return `${Date.now().toString(36)}-${randomBytes(8).toString("hex")}`;
}

/** Opens the files of the pool in `folder`, making the folders that are missing. */
export async function openVolumeFiles(folder: string): Promise<VolumeFiles> {
  const volumes = join(folder, "volumes");
  const devices = join(folder, "zvol");
  const incoming = join(folder, "incoming");
  for (const path of [volumes, devices, incoming]) await mkdir(path, { recursive: true, mode: 0o750 });
  await sync(folder);

  const pathOf = (file: string) => join(volumes, file);
  /** A new file in `volumes/`, kept only when all of it is on the disk. */
  const keep = async (file: string, make: (path: string) => Promise<void>): Promise<Bytes> => {
    const path = pathOf(file);
    try {
      await make(path);
      await sync(path);
      await sync(volumes);
      return await heldByFile(path);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  };

  const unlink = async (volume: DatasetName) => {
    let path = devicePath(volume, devices);
    await rm(path, { force: true });
    // Folders that are empty now; the first that is not ends it.
    for (path = dirname(path); path !== devices; path = dirname(path)) {
      const removed = await rmdir(path).then(
        () => true,
        () => false,
      );
      if (!removed) return;
    }
  };
  const link = async (volume: DatasetName, file: string) => {
    const path = devicePath(volume, devices);
    const parent = dirname(path);
    // Another's unlink may remove the folder between the two: then it is made again.
    for (let attempt = 0; ; attempt++) {
      try {
        await mkdir(parent, { recursive: true, mode: 0o750 });
        // A name that no volume can have.
        const fresh = `${path}~`;
        await rm(fresh, { force: true });
        await symlink(relative(parent, pathOf(file)), fresh);
        return await rename(fresh, path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === 10) throw error;
      }
    }
  };

  return {
    devices,
    pathOf,
    create: async (file, size) => {
      await keep(file, async (path) => {
        await using handle = await open(path, "wx", 0o640);
        await handle.truncate(Number(size));
      });
    },
    copy: (from, to) => keep(to, (path) => copyVolume(pathOf(from), path)),
    adopt: (from, file) => keep(file, (path) => rename(from, path)),
    remove: (file) => rm(pathOf(file), { force: true }),
    heldBy: (file) => heldByFile(pathOf(file)),
    link,
    unlink,
    incomingPath: (name) => join(incoming, name),
    removeIncoming: (name) => rm(join(incoming, name), { recursive: true, force: true }),
    available: async () => {
      const { bavail, bsize } = await statfs(folder, { bigint: true });
      return bytes(bavail * bsize);
    },
    sweep: async (uses, present) => {
      const unused = (await readdir(volumes)).filter((file) => !uses(file));
      for (const file of unused) await rm(pathOf(file), { recursive: true, force: true });
      for (const path of [incoming, devices]) {
        rmSync(path, { recursive: true, force: true });
        await mkdir(path, { mode: 0o750 });
      }
      for (const [volume, file] of present) await link(volume, file);
      return unused.length;
    },
  };
}
