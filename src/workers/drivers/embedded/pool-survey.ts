import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";

/** What a file takes on the disk, and who may read it. */
export interface FileLook {
  /** Bytes. */
  readonly allocated: number;
  /** Only the daemon's user may read it. */
  readonly isPrivate: boolean;
}

/** What is below the folder of the links. All are absolute paths. */
export interface FoundLinks {
  /** The target of each link by its path. */
  readonly targets: ReadonlyMap<string, string>;
  readonly folders: readonly string[];
  readonly files: readonly string[];
  /** Neither of these: sockets, say. */
  readonly others: readonly string[];
}

/** What was in the folders of a pool at its start. */
export interface PoolSurvey {
  /** What is in `volumes/`, by name. The start takes out what it moves, and adds what it publishes. */
  readonly files: Map<string, FileLook>;
  readonly links: FoundLinks;
}

/** Only the daemon's user may read what guests have written. */
export const FILE_MODE = 0o600;
const MODE_BITS = 0o7777;
/** The unit of stat's `blocks`, whatever the block size of the file system. */
export const STAT_BLOCK_BYTES = 512;

/** How many names are looked at before other work has its turn: a millisecond or two. */
const LOOKS_A_TURN = 128;

/** Undefined: there is no such file. */
export function lookAt(path: string): FileLook | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return (
    stat && { allocated: stat.blocks * STAT_BLOCK_BYTES, isPrivate: (stat.mode & MODE_BITS) === FILE_MODE }
  );
}

/*
 * Both look at once: a start looks at tens of thousands of names, and a way to another thread costs
 * more than each look. The pauses let the catalog be read meanwhile.
 */

/** Looks at each file in a folder. */
export async function surveyFiles(folder: string): Promise<Map<string, FileLook>> {
  const found = new Map<string, FileLook>();
  let looks = 0;
  for (const name of readdirSync(folder)) {
    if (++looks % LOOKS_A_TURN === 0) await nextTurn();
    const look = lookAt(`${folder}/${name}`);
    if (look) found.set(name, look);
  }
  return found;
}

/** Reads all links below a folder. */
export async function surveyLinks(root: string): Promise<FoundLinks> {
  const targets = new Map<string, string>();
  const folders: string[] = [];
  const files: string[] = [];
  const others: string[] = [];
  const left = [root];
  let looks = 0;
  for (let folder = left.pop(); folder !== undefined; folder = left.pop()) {
    if (++looks % LOOKS_A_TURN === 0) await nextTurn();
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isSymbolicLink()) targets.set(path, readlinkSync(path));
      else if (entry.isDirectory()) {
        folders.push(path);
        left.push(path);
      } else if (entry.isFile()) files.push(path);
      else others.push(path);
    }
  }
  return { targets, folders, files, others };
}
