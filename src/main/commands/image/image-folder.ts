import { constants } from "node:fs";
import { type FileHandle, open, readdir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { type ComponentId, parseComponentId } from "../../../protocol/storage/names.js";

/** Image ID is the first of these files that exists: ID, ID.zfs, ID.gz, ID.zfs.gz. */
const SUFFIXES = ["", ".zfs", ".gz", ".zfs.gz"] as const;
const SUFFIX = /(?:\.zfs)?(?:\.gz)?$/;
/** Errors of realpath(3) and open(2) that mean: no image has this name. Others are real problems. */
const ABSENT: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "ENXIO"]);

/** What fstat(2) says about the content of a file. */
interface FileVersion {
  readonly bytes: number;
  readonly modified: Date;
  /** Differs between two contents of a file, as far as fstat(2) can tell. */
  readonly version: string;
}

/** An image without an open file. */
export interface ImageInfo extends FileVersion {
  readonly id: ComponentId;
  readonly path: string;
}

/** An image that is open for reading. The caller that opened it closes `handle`. */
export interface StoredImage extends ImageInfo {
  readonly handle: FileHandle;
}

/** Undefined when `handle` is not a regular file. */
export async function statVersion(handle: FileHandle): Promise<FileVersion | undefined> {
  const stat = await handle.stat({ bigint: true });
  if (!stat.isFile()) return undefined;
  const version = [stat.dev, stat.ino, stat.size, stat.mtimeNs].join(":");
  return { bytes: Number(stat.size), modified: stat.mtime, version };
}

/** Opens a file in `dir`. Undefined when it is absent, or a symbolic link to a place outside `dir`. */
async function openWithin(
  dir: string,
  name: string,
): Promise<{ path: string; handle: FileHandle } | undefined> {
  try {
    const path = await realpath(join(dir, name));
    if (!path.startsWith(dir.endsWith(sep) ? dir : dir + sep)) return undefined;
    // NOFOLLOW: somebody may have put a link here since realpath. NONBLOCK: open(2) waits on a FIFO.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return { path, handle };
  } catch (error) {
    if (error instanceof Error && "code" in error && ABSENT.has(error.code)) return undefined;
    throw error;
  }
}

/**
 * Finds image `id` in a folder and opens it. `dir` is a real path, without links.
 * Undefined when there is no such image. Rejects with the error of open(2) when the
 * image exists but can't be read.
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

/** Each image of a folder once, sorted by id. Files that can't be opened are left out. */
export async function listImages(dir: string): Promise<ImageInfo[]> {
  const ids = new Set<ComponentId>();
  for (const name of await readdir(dir)) {
    const id = parseComponentId(name.replace(SUFFIX, ""));
    if (id.ok) ids.add(id.value);
  }
  const images: ImageInfo[] = [];
  for (const id of [...ids].sort()) {
    const image = await openImage(dir, id).catch(() => undefined);
    if (!image) continue;
    const { handle, ...info } = image;
    await handle.close();
    images.push(info);
  }
  return images;
}
