import { constants } from "node:fs";
import { type FileHandle, open, readdir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { type ComponentId, parseComponentId } from "../../../protocol/storage/names.js";

/** The files that may hold image ID, the first that is there does. */
const SUFFIXES = ["", ".zfs", ".gz", ".zfs.gz"] as const;
const SUFFIX = /(?:\.zfs)?(?:\.gz)?$/;
/** What says that a name stands for nothing, among all that open(2) may say. */
const ABSENT = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "ENXIO"]);

/** An image as stored, open for reading; whoever opened it closes `handle`. */
export interface StoredImage {
  readonly id: ComponentId;
  readonly path: string;
  readonly handle: FileHandle;
  readonly bytes: number;
  readonly modified: Date;
  /** Another text for another content, as far as stat(2) tells. */
  readonly version: string;
}

/** @returns what is open behind `handle` as far as it identifies the content, or undefined for no regular file. */
export async function statVersion(
  handle: FileHandle,
): Promise<{ bytes: number; modified: Date; version: string } | undefined> {
  const stat = await handle.stat({ bigint: true });
  if (!stat.isFile()) return undefined;
  const version = [stat.dev, stat.ino, stat.size, stat.mtimeNs].join(":");
  return { bytes: Number(stat.size), modified: stat.mtime, version };
}

/** Opens a file below `dir`, or gives undefined: absent, a folder, a symbolic link that leads out. */
async function openWithin(
  dir: string,
  name: string,
): Promise<{ path: string; handle: FileHandle } | undefined> {
  try {
    const path = await realpath(join(dir, name));
    if (!path.startsWith(dir.endsWith(sep) ? dir : dir + sep)) return undefined;
    // Not to be led out by a link put there since, nor held up by a FIFO.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return { path, handle };
  } catch (error) {
    if (ABSENT.has((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/**
 * Opens image `id` of the folder: the file ID, ID.zfs, ID.gz or ID.zfs.gz.
 * `dir` is a real path, no link. Gives undefined where there is none; rejects with the
 * error of open(2) where there is one that can't be read.
 */
export async function openImage(dir: string, id: ComponentId): Promise<StoredImage | undefined> {
  for (const suffix of SUFFIXES) {
    const file = await openWithin(dir, id + suffix);
    if (!file) continue;
    const found = await statVersion(file.handle);
    if (found) return { id, ...file, ...found };
    await file.handle.close();
  }
  return undefined;
}

/** Each image of the folder once, by id. What can't be opened is left out. */
export async function listImages(dir: string): Promise<Omit<StoredImage, "handle">[]> {
  const ids = new Set<ComponentId>();
  for (const name of await readdir(dir)) {
    const id = parseComponentId(name.replace(SUFFIX, ""));
    if (id.ok) ids.add(id.value);
  }
  const images: Omit<StoredImage, "handle">[] = [];
  for (const id of [...ids].sort()) {
    const image = await openImage(dir, id).catch(() => undefined);
    if (!image) continue;
    const { handle, ...rest } = image;
    await handle.close();
    images.push(rest);
  }
  return images;
}
