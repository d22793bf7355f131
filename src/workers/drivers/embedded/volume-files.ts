import { randomBytes } from "node:crypto";
import { chmodSync, renameSync, statfsSync } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { createSharedRun } from "../../batching/coalescer.js";
import { DISK_FILE } from "./child-messages.js";
import {
  FILE_MODE,
  type FileLook,
  type FoundLinks,
  lookAt,
  type PoolSurvey,
  STAT_BLOCK_BYTES,
  surveyFiles,
  surveyLinks,
} from "./pool-survey.js";
import { createVolumeCopier } from "./volume-copy.js";
import { createVolumeLinks } from "./volume-links.js";

/**
 * The files of an embedded pool. `volumes/FILE` holds the data of volumes and snapshots,
 * sparse, under file names that are never reused; `zvol/POOL/NAME` links a volume to its
 * file, as /dev/zvol does; `incoming/` has a folder for each stream that is being received or broke, and
 * each new file until the commit of its dataset is on the disk. So a file in `volumes/` was
 * committed once, and is never deleted because the catalog does not know it: `lost/` takes it.
 * A new file survives a power cut once the call that made it has resolved.
 */
export interface VolumeFiles {
  /** The folder of the links to volumes, an absolute path. */
  readonly devices: string;
  /** The path of a published file. */
  pathOf(file: string): string;
  /** A new file that reads as zeros. Like every new file it has to be published. */
  create(file: string, size: Bytes): Promise<void>;
  /**
   * Copies a file, by reflink where the file system can, else sparse. `onProgress` is called with
   * each part that is written. @returns the bytes that the copy takes.
   */
  copy(from: string, to: string, onProgress?: () => void): Promise<Bytes>;
  /** Ends all copying, now and later: it rejects with the code ECANCELED. */
  cancelCopies(): void;
  /** Makes a new file of one from elsewhere in the pool's folder. @returns the bytes that it takes. */
  adopt(path: string, file: string): Promise<Bytes>;
  /**
   * Gives a published file another size: what is new reads as zeros. After a power cut it has either
   * size until this resolves.
   */
  resize(file: string, size: Bytes): Promise<void>;
  /**
   * Moves a new file to its place in `volumes/`: at once, once its dataset is committed. Throws
   * errors of the file system; the next start publishes it then.
   */
  publish(file: string): void;
  /** Succeeds when there is no such file. */
  remove(file: string): Promise<void>;
  /** Lets only the daemon's user read a file, which older versions did not. One that is missing stays so. */
  makePrivate(file: string): void;
  /** The bytes that a file takes on the disk, which for a sparse file are fewer than its size. */
  allocatedBytes(file: string): Promise<Bytes>;
  /** The same at once, of new files too; 0 if there is no such file. */
  allocatedNow(file: string): Bytes;
  link(volume: DatasetName, file: string): Promise<void>;
  unlink(volume: DatasetName): Promise<void>;
  /** The path of a folder in `incoming/`; the receive process creates it. */
  incomingPath(name: string): string;
  removeIncoming(name: string): Promise<void>;
  /** The names of the folders in `incoming/`. */
  incomingFolders(): Promise<readonly string[]>;
  /** Moves a folder from `incoming/` to `lost/`. */
  setIncomingAside(name: string): Promise<void>;
  /** What a receive into `folder`, a path, has taken of the disk so far. */
  receivedBytes(folder: string): Promise<Bytes>;
  /** The same at once. */
  receivedNow(path: string): Bytes;
  /** What the file system has left. */
  available(): Promise<Bytes>;
  /** What new files take that are neither published nor removed yet. */
  unpublishedBytes(): Bytes;
  /** Whether the file system shares blocks between copies (reflinks): then a copy takes nothing at first. */
  readonly sharesBlocks: boolean;
  /** What the file system has, used or free. */
  totalBytes(): Bytes;
  /** Looks at all files and links, in steps between which other work has its turn. */
  survey(): Promise<PoolSurvey>;
  /** Looks at one file. Undefined: it is not there. */
  look(file: string): FileLook | undefined;
  /** Moves a file from `volumes/` to `lost/`. */
  setAside(file: string): Promise<void>;
  /** The folder of the files that were set aside, an absolute path. */
  readonly lost: string;
  /** How many files are in `lost/`. */
  countLost(): Promise<number>;
  /**
   * Publishes the used files whose publication a crash prevented, and empties `incoming/` but for the folders in
   * `kept`. `keepOthers`: files go to `lost/`, since a catalog that was damaged may have used them.
   * @returns the files that were published.
   */
  settleIncoming(
    isUsed: (file: string) => boolean,
    keepOthers: boolean,
    kept: ReadonlySet<string>,
  ): Promise<readonly string[]>;
  /** Puts the links of all volumes right, of what the survey found. What else is a file in `zvol/` goes to `lost/`. */
  settleLinks(
    found: FoundLinks,
    volumes: Iterable<{ readonly name: DatasetName; readonly file: string }>,
  ): Promise<void>;
}

const FOLDER_MODE = 0o750;

class CopyCancelled extends Error {
  override readonly name = "CopyCancelled";
  readonly code = "ECANCELED";
}

async function allocatedAt(path: string): Promise<Bytes> {
  const { blocks } = await lstat(path, { bigint: true });
  return bytes(blocks * BigInt(STAT_BLOCK_BYTES));
}

async function readdirIfThere(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
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
  const lost = join(folder, "lost");
  for (const path of [volumes, devices, incoming]) await mkdir(path, { recursive: true, mode: FOLDER_MODE });
  await sync(folder);

  const copier = createVolumeCopier();
  const sharesBlocks = await copier.sharesBlocks(incoming);
  const links = createVolumeLinks(devices, volumes);
  const pathOf = (file: string) => join(volumes, file);
  const newPathOf = (file: string) => join(incoming, file);
  /** One sync of the folder serves all who wait for it. */
  const syncNames = createSharedRun(() => sync(incoming));
  const copying = new AbortController();
  /** What each new file takes that is neither published nor removed. */
  const unpublished = new Map<string, Bytes>();

  /**
   * Has `make` create a new file. First its data is synced, then its name: only after both may
   * a commit refer to it. What can't be completed is removed.
   */
  async function makeDurable(file: string, make: (path: string) => Promise<void>): Promise<Bytes> {
    const path = newPathOf(file);
    try {
      await make(path);
      // Whatever the umask, and the mode of a file that it was copied from.
      await chmod(path, FILE_MODE);
      await sync(path);
      await syncNames();
      const allocated = await allocatedAt(path);
      unpublished.set(file, allocated);
      return allocated;
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  async function setAside(path: string): Promise<void> {
    await mkdir(lost, { recursive: true, mode: FOLDER_MODE });
    const there = await readdir(lost);
    const name = basename(path);
    await rename(path, join(lost, there.includes(name) ? `${name}-${newFileName()}` : name));
    await sync(lost);
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
    copy: (from, to, onProgress = () => {}) =>
      makeDurable(to, (path) =>
        copier.copy(pathOf(from), path, { signal: copying.signal, sharesBlocks, onProgress }),
      ),
    cancelCopies: () => copying.abort(new CopyCancelled("imagestore is stopping")),
    resize: async (file, size) => {
      await using handle = await open(pathOf(file), "r+");
      await handle.truncate(Number(size));
      await handle.sync();
    },
    adopt: (from, file) => makeDurable(file, (path) => rename(from, path)),
    publish: (file) => {
      renameSync(newPathOf(file), pathOf(file));
      unpublished.delete(file);
    },
    remove: async (file) => {
      unpublished.delete(file);
      for (const path of [newPathOf(file), pathOf(file)]) await rm(path, { force: true });
    },
    makePrivate: (file) => {
      try {
        chmodSync(pathOf(file), FILE_MODE);
      } catch (error) {
        if (codeOf(error) !== "ENOENT") throw error;
      }
    },
    allocatedBytes: (file) => allocatedAt(pathOf(file)),
    allocatedNow: (file) => bytes((lookAt(pathOf(file)) ?? lookAt(newPathOf(file)))?.allocated ?? 0),
    link: links.link,
    unlink: links.unlink,
    incomingPath: (name) => join(incoming, name),
    receivedBytes: (path) => allocatedAt(join(path, DISK_FILE)).catch(() => bytes(0)),
    receivedNow: (path) => bytes(lookAt(join(path, DISK_FILE))?.allocated ?? 0),
    removeIncoming: (name) => rm(join(incoming, name), { recursive: true, force: true }),
    incomingFolders: async () => {
      const entries = await readdir(incoming, { withFileTypes: true });
      return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    },
    setIncomingAside: (name) => setAside(newPathOf(name)),
    available: async () => {
      const { bavail, bsize } = await statfs(folder, { bigint: true });
      return bytes(bavail * bsize);
    },
    unpublishedBytes: () => bytes([...unpublished.values()].reduce((sum, each) => sum + each, 0n)),
    sharesBlocks,
    totalBytes: () => {
      const { blocks, bsize } = statfsSync(folder, { bigint: true });
      return bytes(blocks * bsize);
    },
    survey: async () => ({ files: await surveyFiles(volumes), links: await surveyLinks(devices) }),
    look: (file) => lookAt(pathOf(file)),
    lost,
    setAside: (file) => setAside(pathOf(file)),
    countLost: async () => (await readdirIfThere(lost)).length,
    settleIncoming: async (isUsed, keepOthers, kept) => {
      const published: string[] = [];
      for (const entry of await readdir(incoming, { withFileTypes: true })) {
        const path = newPathOf(entry.name);
        if (kept.has(entry.name)) continue;
        if (isUsed(entry.name)) {
          await rename(path, pathOf(entry.name));
          published.push(entry.name);
        } else if (keepOthers && entry.isFile()) await setAside(path);
        else await rm(path, { recursive: true, force: true });
      }
      await sync(volumes);
      return published;
    },
    settleLinks: (found, present) => links.settle(found, present, setAside),
  };
}
