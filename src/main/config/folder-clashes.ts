import { join, resolve, sep } from "node:path";
import type { PoolSettings } from "../../protocol/storage/pool-settings.js";

/** What the driver puts into the folder of an embedded pool. It clears some of it at each start. */
const OWN_FOLDERS = ["volumes", "zvol", "incoming", "lost"] as const;
const OWN_FILES = ["pool.db", "pool.backup.db"] as const;

interface FolderClash {
  /** The index of the pool. */
  readonly pool: number;
  readonly message: string;
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}${sep}`);
}

/**
 * Embedded pools whose files would be those of another part of the daemon: the record file of a
 * pool called `pool`, another pool or the records in a folder that the driver clears.
 */
export function findFolderClashes(dataDir: string, pools: readonly PoolSettings[]): readonly FolderClash[] {
  const records = pools.map(({ name }) => join(resolve(dataDir), `${name}.db`));
  const clashes: FolderClash[] = [];
  for (const [index, pool] of pools.entries()) {
    if (pool.driver !== "embedded") continue;
    const folder = resolve(pool.folder);
    const files = OWN_FILES.map((name) => join(folder, name));
    const record = records.find((path) => files.includes(path));
    if (record !== undefined) {
      const message = `${record} would hold both the pool and the records of a pool: choose another folder than dataDir`;
      clashes.push({ pool: index, message });
    }
    const folders = [
      dataDir,
      ...pools.flatMap((other) => (other.driver === "embedded" ? [other.folder] : [])),
    ];
    const inside = folders
      .map((path) => resolve(path))
      .find((path) => OWN_FOLDERS.some((name) => isWithin(path, join(folder, name))));
    if (inside !== undefined) {
      clashes.push({ pool: index, message: `${inside} lies in a folder that the pool clears at each start` });
    }
  }
  return clashes;
}
