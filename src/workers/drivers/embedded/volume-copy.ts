import { constants } from "node:fs";
import { copyFile, type FileHandle, open, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DataRange } from "../../../protocol/raw-disk/data-ranges.js";
import { writeSparse } from "../../../protocol/raw-disk/file-writes.js";
import { codeOf } from "../../../protocol/storage/caught-error.js";
import { findVolumeData } from "./volume-data.js";

const BUFFER_BYTES = 1024 * 1024;
const MAX_SPARE_BUFFERS = 4;

/** What Linux answers where a file system can't share blocks between two files. */
const NO_REFLINK: readonly (string | undefined)[] = [
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EINVAL",
  "EXDEV",
  "ENOTTY",
];

interface CopyOptions {
  /** As sharesBlocks has told of the folder. Unless it is false, sharing is tried first. */
  readonly sharesBlocks?: boolean;
  readonly signal?: AbortSignal;
  onProgress?(): void;
}

interface VolumeCopier {
  /**
   * Copies the file `from` to the path `to`, which must not exist. The copy shares the blocks
   * of `from` where the file system can do that (a reflink), else it is sparse: zeros become
   * holes, and holes are not read. Nothing is synced. When it rejects, part of the copy may be
   * there. It rejects with the signal's reason soon after that is given. `onProgress` is called
   * with each part that is written.
   */
  copy(from: string, to: string, options?: CopyOptions): Promise<void>;
  /** Whether the file system of a folder can share blocks. Tries it with two files, which it removes. */
  sharesBlocks(folder: string): Promise<boolean>;
}

export function createVolumeCopier(): VolumeCopier {
  /** Buffers of copies that ended. A new one for each copy keeps the garbage collector of this thread busy. */
  const spareBuffers: Buffer[] = [];

  async function copyRange(
    from: FileHandle,
    to: FileHandle,
    { start, end }: DataRange,
    { signal, onProgress }: CopyOptions,
  ): Promise<void> {
    const buffer = spareBuffers.pop() ?? Buffer.allocUnsafe(BUFFER_BYTES);
    try {
      for (let offset = start; offset < end; ) {
        signal?.throwIfAborted();
        const { bytesRead } = await from.read(buffer, 0, Math.min(BUFFER_BYTES, end - offset), offset);
        if (bytesRead === 0) break;
        await writeSparse(to, buffer.subarray(0, bytesRead), offset);
        offset += bytesRead;
        onProgress?.();
      }
    } finally {
      if (spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(buffer);
    }
  }

  async function copySparse(fromPath: string, toPath: string, options: CopyOptions): Promise<void> {
    const { size } = await stat(fromPath);
    const ranges = (await findVolumeData(fromPath)) ?? [{ start: 0, end: size }];
    await using to = await open(toPath, "wx", 0o600);
    if (ranges.length > 0) {
      await using from = await open(fromPath, "r");
      for (const range of ranges) await copyRange(from, to, range, options);
    }
    await to.truncate(size);
  }

  /** @returns false where the file system can't share blocks. Then nothing is there. */
  async function shareBlocks(from: string, to: string): Promise<boolean> {
    try {
      await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      return true;
    } catch (error) {
      if (!NO_REFLINK.includes(codeOf(error))) throw error;
      await rm(to, { force: true });
      return false;
    }
  }

  return {
    async copy(from, to, options = {}) {
      options.signal?.throwIfAborted();
      const isShared = options.sharesBlocks !== false && (await shareBlocks(from, to));
      if (!isShared) await copySparse(from, to, options);
    },
    async sharesBlocks(folder) {
      const from = join(folder, "probe");
      const to = join(folder, "probe-copy");
      try {
        await writeFile(from, "x", { mode: 0o600 });
        return await shareBlocks(from, to);
      } catch (error) {
        // A full disk: whoever can't copy says so.
        if (codeOf(error) === "ENOSPC" || codeOf(error) === "EDQUOT") return false;
        throw error;
      } finally {
        for (const path of [from, to]) await rm(path, { force: true });
      }
    },
  };
}
