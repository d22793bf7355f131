import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName, tagOf } from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { CatalogChange } from "./catalog.js";
import type { Filesystem, Snapshot, Volume } from "./dataset.js";
import { newSnapshot, snapshotName, writtenSince } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { catchStorageErrors } from "./storage-errors.js";
import { newFileName } from "./volume-files.js";

type Target = Filesystem | Volume;

/** The datasets to take snapshots of: the dataset of `name` and, with `recursive`, all below it. */
function findTargets({ catalog }: EmbeddedPool, name: SnapshotName, recursive: boolean): Target[] {
  const root = catalog.find(datasetOf(name));
  if (!root) return [];
  return (recursive ? catalog.subtree(root.name) : [root]).filter((dataset) => dataset.type !== "snapshot");
}

/** Copies the data of `target` and makes a snapshot of it, which is not committed yet. */
async function copyTarget({ catalog, files }: EmbeddedPool, target: Target, tag: string): Promise<Snapshot> {
  const name = snapshotName(target.name, tag);
  if (target.type === "filesystem") return newSnapshot(catalog, name, {});
  const { volsize, volblocksize } = target;
  const file = newFileName();
  const allocated = await files.copy(target.file, file);
  const origin = target.origin === undefined ? undefined : catalog.findById(target.origin);
  const previous = catalog.snapshotsOf(target.name).at(-1) ?? origin;
  const written = writtenSince(allocated, previous?.allocated);
  return newSnapshot(catalog, name, { volsize, volblocksize, file, allocated, written });
}

/**
 * Takes a snapshot; with `recursive` of everything below too, all of them or none. Each is a
 * copy of its volume's file: the set is not of one moment if something is written meanwhile.
 * @returns what the snapshot has written. Fails: dataset.not_found, dataset.exists, pool.no_space.
 */
export function takeSnapshot(
  pool: EmbeddedPool,
  name: SnapshotName,
  recursive: boolean,
): Promise<Outcome<Bytes | undefined>> {
  const { catalog, accounting, transactions } = pool;
  const messagePrefix = `cannot create snapshot '${name}'`;
  return catchStorageErrors(messagePrefix, async () => {
    const targets = findTargets(pool, name, recursive);
    if (targets.length === 0) return failed.notFound;
    const exists = () => targets.some((target) => catalog.find(snapshotName(target.name, tagOf(name))));
    if (exists()) return failed.exists;
    const snapshots: Snapshot[] = [];
    const decide = async (): Promise<Outcome<CatalogChange>> => {
      if (exists()) return failed.exists;
      const allocated = snapshots.reduce((sum, snapshot) => sum + snapshot.allocated, 0n);
      if (await accounting.exceedsQuota(allocated)) return failed.noSpace;
      // Destroyed or renamed during the copy.
      const isGone = targets.some((target) => catalog.findById(target.id)?.name !== target.name);
      return isGone ? failed.notFound : succeed({ put: snapshots });
    };
    try {
      for (const target of targets) snapshots.push(await copyTarget(pool, target, tagOf(name)));
      const newFiles = snapshots.map(({ file }) => file);
      const committed = await transactions.run(messagePrefix, decide, newFiles);
      if (!committed.ok) return committed;
      return succeed(snapshots.find((snapshot) => snapshot.name === name)?.written);
    } finally {
      await transactions.removeUnusedFiles(snapshots.map(({ file }) => file));
    }
  });
}
