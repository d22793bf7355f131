import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own in a file. */
export interface SmallDisk {
  readonly folder: string;
  /** Takes all room but for `leftBytes`. */
  fill(leftBytes: number): void;
  /** Gives back what `fill` took. */
  empty(): void;
  remove(): void;
}

const PIECE_BYTES = 64 * 1024;

function run(program: string, ...args: string[]): string {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? "" : `${program}: ${error?.message ?? stderr.trim()}`;
}

/** Makes an ext4 in a file and mounts it. @returns why not, as text, where that can't be done: it needs root. */
export function createSmallDisk(bytes: number): SmallDisk | string {
  const parent = mkdtempSync(join(tmpdir(), "imagestore-disk-"));
  const image = join(parent, "disk.img");
  const folder = join(parent, "disk");
  mkdirSync(folder);
  closeSync(openSync(image, "w"));
  truncateSync(image, bytes);
  const failure = run("mkfs.ext4", "-q", "-m", "0", image) || run("mount", "-o", "loop", image, folder);
  if (failure !== "") {
    rmSync(parent, { recursive: true, force: true });
    return failure;
  }
  const filler = join(folder, "filler");
  return {
    folder,
    fill(leftBytes) {
      const file = openSync(filler, "w");
      const piece = Buffer.alloc(PIECE_BYTES, 1);
      try {
        for (;;) {
          const { bavail, bsize } = statfsSync(folder);
          if (bavail * bsize < leftBytes + PIECE_BYTES) break;
          writeSync(file, piece);
        }
        // To the last block, which statfs may not show.
        while (leftBytes === 0) writeSync(file, piece, 0, 4096);
      } catch {
        // It is full.
      } finally {
        closeSync(file);
      }
    },
    empty: () => rmSync(filler, { force: true }),
    remove: () => {
      run("umount", folder);
      rmSync(parent, { recursive: true, force: true });
    },
  };
}
