import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A file system of its own, of ext4 in a file. */
export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Writes a file `name` until nothing more fits. Remove it to make room. */
  fill(name: string): void;
}

/** Mounts it in `folder`, which needs root. @returns why it can't be done here, as text. */
export function mountSmallDisk(folder: string, sizeMib: number): SmallDisk | string {
  const image = join(folder, "disk.ext4");
  const path = join(folder, "disk");
  writeFileSync(image, "");
  truncateSync(image, sizeMib * 1_048_576);
  mkdirSync(path);
  for (const [program = "", ...args] of [
    ["mkfs.ext4", "-q", "-F", "-m", "0", image],
    ["mount", "-o", "loop", image, path],
  ]) {
    const { status, stderr, error } = spawnSync(program, args);
    if (status !== 0) return `no small file system can be mounted here: ${program}: ${error ?? stderr}`;
  }
  rmSync(join(path, "lost+found"), { recursive: true });
  return {
    path,
    fill(name) {
      // Large blocks first, then what is left.
      for (const blockBytes of [1_048_576, 4096]) {
        const output = `of=${join(path, name)}`;
        const how = ["oflag=append", "conv=notrunc,fsync", "status=none"];
        spawnSync("dd", ["if=/dev/zero", output, `bs=${blockBytes}`, ...how]);
      }
    },
    [Symbol.dispose]: () => {
      spawnSync("umount", ["-l", path]);
      rmSync(image, { force: true });
    },
  };
}
