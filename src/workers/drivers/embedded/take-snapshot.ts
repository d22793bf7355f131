import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type SnapshotName, tagOf } from "../../../protocol/storage/names.js";
import type { Bytes } from "../../../protocol/storage/units.js";
import type { PreparedCopies } from "../driver.js";
import type { CatalogChange, CatalogView } from "./catalog.js";
import type { Filesystem, Snapshot, Volume } from "./dataset.js";
import { findTargets, newSnapshot, snapshotName, writtenSince } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { takeCopy } from "./prepared-copies.js";
import { catchStorageErrors } from "./storage-errors.js";

/** Copies the data of `target` and makes a snapshot of it, which is not committed yet. */
async function copyTarget(
  pool: EmbeddedPool,
  target: Filesystem | Volume,
  tag: string,
  copies: PreparedCopies | undefined,
): Promise<Outcome<Snapshot>> {
  const { catalog } = pool;
  const name = snapshotName(target.name, tag);
  if (target.type === "filesystem") return succeed(newSnapshot(catalog, name, {}));
  const { volsize, volblocksize } = target;
  const copy = await takeCopy(pool, target, copies);
  if (!copy.ok) return copy;
  const { file, allocated } = copy.value;
  const origin = target.origin === undefined ? undefined : catalog.findById(target.origin);
  const previous = catalog.newestSnapshotOf(target.name) ?? origin;
  const written = writtenSince(allocated, previous?.allocated);
  return succeed(newSnapshot(catalog, name, { volsize, volblocksize, file, allocated, written }));
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
  copies?: PreparedCopies,
): Promise<Outcome<Bytes | undefined>> {
  const { catalog, accounting, transactions } = pool;
  const messagePrefix = `cannot create snapshot '${name}'`;
  return catchStorageErrors(messagePrefix, async () => {
    const targets = findTargets(pool.catalog, name, recursive);
    if (targets.length === 0) return failed.notFound;
    const exists = (view: CatalogView) =>
      targets.some((target) => view.find(snapshotName(target.name, tagOf(name))));
    if (exists(catalog)) return failed.exists;
    const snapshots: Snapshot[] = [];
    const decide = async (staged: CatalogView): Promise<Outcome<CatalogChange>> => {
      if (exists(staged)) return failed.exists;
      const allocated = snapshots.reduce((sum, snapshot) => sum + snapshot.allocated, 0n);
      if (await accounting.isOverfullWith(allocated)) return failed.noSpace;
      // Destroyed or renamed during the copy.
      const isGone = targets.some((target) => staged.findById(target.id)?.name !== target.name);
      return isGone ? failed.notFound : succeed({ put: snapshots });
    };
    try {
      for (const target of targets) {
        const copied = await copyTarget(pool, target, tagOf(name), copies);
        if (!copied.ok) return copied;
        snapshots.push(copied.value);
      }
      const newFiles = snapshots.map(({ file }) => file);
      const committed = await transactions.run({ messagePrefix, decide, newFiles });
      if (!committed.ok) return committed;
      return succeed(snapshots.find((snapshot) => snapshot.name === name)?.written);
    } finally {
      await transactions.removeUnusedFiles(snapshots.map(({ file }) => file));
    }
  });
}
