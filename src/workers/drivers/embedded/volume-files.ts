import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { createVolumeCopier } from "./volume-copy.js";
import { createVolumeLinks } from "./volume-links.js";

/**
 * The files of an embedded pool. `volumes/FILE` holds the data of volumes and snapshots,
 * sparse, under file names that are never reused; `zvol/POOL/NAME` links a volume to its
 * file, as /dev/zvol does; `incoming/` has a folder for each stream that is being received.
 * A new file in `volumes/` survives a power cut once the call that made it has resolved.
 */
export interface VolumeFiles {
  /** The folder of the links to volumes, an absolute path. */
  readonly devices: string;
  pathOf(file: string): string;
  /** A new file that reads as zeros. */
  create(file: string, size: Bytes): Promise<void>;
  /** Copies a file, by reflink where the file system can, else sparse. @returns the bytes that the copy takes. */
  copy(from: string, to: string): Promise<Bytes>;
  /** Moves a file from elsewhere in the pool's folder into `volumes/`. @returns the bytes that it takes. */
  adopt(path: string, file: string): Promise<Bytes>;
  /** Succeeds when there is no such file. */
  remove(file: string): Promise<void>;
  /** The bytes that a file takes on the disk, which for a sparse file are fewer than its size. */
  allocatedBytes(file: string): Promise<Bytes>;
  link(volume: DatasetName, file: string): Promise<void>;
  unlink(volume: DatasetName): Promise<void>;
  /** The path of a folder in `incoming/`; the receive process creates it. */
  incomingPath(name: string): string;
  removeIncoming(name: string): Promise<void>;
  /** What the file system has left. */
  available(): Promise<Bytes>;
  /**
   * Removes what a crash may have left: files that no dataset uses and everything in `incoming/`.
   * Then recreates the links of all volumes.
   * @returns how many files it removed from `volumes/`.
   */
  removeLeftovers(
    isUsed: (file: string) => boolean,
    volumes: Iterable<{ readonly name: DatasetName; readonly file: string }>,
  ): Promise<number>;
}

const FOLDER_MODE = 0o750;
const FILE_MODE = 0o640;
/** The unit of stat's `blocks`, whatever the block size of the file system. */
const STAT_BLOCK_BYTES = 512;

async function allocatedAt(path: string): Promise<Bytes> {
  const { blocks } = await lstat(path, { bigint: true });
  return bytes(blocks * BigInt(STAT_BLOCK_BYTES));
}

/** A name for `volumes/` or `incoming/` that was never used before. */
export function newFileName(): string {
  return `${Date.now().toString(36)}-${randomBytes(8).toString("hex")}`;
}

/** Opens the files of the pool in `folder`, and creates the folders that are missing. */
export async function openVolumeFiles(folder: string): Promise<VolumeFiles> {
  const volumes = join(folder, "volumes");
  const devices = join(folder, "zvol");
  const incoming = join(folder, "incoming");
  for (const path of [volumes, devices, incoming]) await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  await sync(folder);

  const copier = createVolumeCopier();
  const links = createVolumeLinks(devices);
  const pathOf = (file: string) => join(volumes, file);
  const link = (volume: DatasetName, file: string) => links.link(volume, pathOf(file));

  /**
   * Has `make` create a file in `volumes/`. First its data is synced, then its name: only after
   * both may a commit refer to it. What can't be completed is removed.
   */
  async function makeDurable(file: string, make: (path: string) => Promise<void>): Promise<Bytes> {
    const path = pathOf(file);
    try {
      await make(path);
      await sync(path);
      await sync(volumes);
      return await allocatedAt(path);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  return {
    devices,
    pathOf,
    create: async (file, size) => {
      await makeDurable(file, async (path) => {
        await using handle = await open(path, "wx", FILE_MODE);
        await handle.truncate(Number(size));
      });
    },
    copy: (from, to) => makeDurable(to, (path) => copier.copy(pathOf(from), path)),
    adopt: (from, file) => makeDurable(file, (path) => rename(from, path)),
    remove: (file) => rm(pathOf(file), { force: true }),
    allocatedBytes: (file) => allocatedAt(pathOf(file)),
    link,
    unlink: links.unlink,
    incomingPath: (name) => join(incoming, name),
    removeIncoming: (name) => rm(join(incoming, name), { recursive: true, force: true }),
    available: async () => {
      const { bavail, bsize } = await statfs(folder, { bigint: true });
      return bytes(bavail * bsize);
    },
    removeLeftovers: async (isUsed, present) => {
      const unused = (await readdir(volumes)).filter((file) => !isUsed(file));
      for (const file of unused) await rm(pathOf(file), { recursive: true, force: true });
      for (const path of [incoming, devices]) {
        await rm(path, { recursive: true, force: true });
        await mkdir(path, { mode: FOLDER_MODE });
      }
      for (const { name, file } of present) await link(name, file);
      return unused.length;
    },
  };
}
