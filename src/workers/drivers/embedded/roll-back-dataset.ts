import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
} from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { DoomedRecord } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { PreparedCopies } from "../driver.js";
import type { CatalogView } from "./catalog.js";
import type { Dataset, Snapshot } from "./dataset.js";
import { findDestroyFailure } from "./dataset-rules.js";
import { doomedRecords } from "./destroy-datasets.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { bookmarksIn, type KeptBookmark, withoutBookmarks } from "./kept-bookmarks.js";
import { takeCopy } from "./prepared-copies.js";
import { catchStorageErrors } from "./storage-errors.js";

function snapshotsNewerThan(catalog: CatalogView, { name, createtxg }: Snapshot): Snapshot[] {
  return catalog.snapshotsOf(datasetOf(name)).filter((snapshot) => snapshot.createtxg > createtxg);
}

function bookmarksNewerThan(catalog: CatalogView, { name, createtxg }: Snapshot): readonly KeptBookmark[] {
  const { properties = {} } = catalog.find(datasetOf(name)) ?? {};
  return bookmarksIn(properties).filter((bookmark) => bookmark.createtxg > createtxg);
}

function findRollbackFailure(
  catalog: CatalogView,
  target: Snapshot,
  destroyMoreRecent: boolean,
): FailedOutcome | undefined {
  const newer = snapshotsNewerThan(catalog, target);
  const marks = bookmarksNewerThan(catalog, target);
  if (newer.length + marks.length > 0 && !destroyMoreRecent) {
    const marked = marks.map(({ tag }) => `${datasetOf(target.name)}#${tag}`);
    const names = [...newer.map(({ name }) => name), ...marked].join(", ");
    return fail(
      "snapshot.newer_exist",
      `newer snapshots than ${target.name} exist: ${names}; destroyMoreRecent removes them`,
    );
  }
  return findDestroyFailure(catalog, newer, `snapshots newer than ${target.name} have`);
}

/** What rollBackDataset would destroy now, but for the content of the dataset. Fails as it does. */
export function findNewerThan(
  pool: EmbeddedPool,
  name: SnapshotName,
  destroyMoreRecent: boolean,
): Outcome<readonly DoomedRecord[]> {
  const { catalog } = pool;
  const target = catalog.find(name);
  if (target?.type !== "snapshot") return failed.notFound;
  const failure = findRollbackFailure(catalog, target, destroyMoreRecent);
  if (failure) return failure;
  const marks = bookmarksNewerThan(catalog, target).map(
    ({ tag }): DoomedRecord => ({ name: `${datasetOf(name)}#${tag}`, used: bytes(0) }),
  );
  return succeed([...doomedRecords(pool, snapshotsNewerThan(catalog, target)), ...marks]);
}

/** `file`: a copy of the target's data. */
async function decideRollback(
  { accounting }: EmbeddedPool,
  catalog: CatalogView,
  target: Snapshot,
  destroyMoreRecent: boolean,
  file: string,
) {
  const before: Dataset | undefined = catalog.find(datasetOf(target.name));
  if (!before || !catalog.findById(target.id)) return failed.notFound;
  const failure = findRollbackFailure(catalog, target, destroyMoreRecent);
  if (failure) return failure;
  const growth = target.volsize - before.volsize;
  // A thick volume that has shrunk since gets the room that it had.
  if (before.reserved && growth > 0n && growth > (await accounting.space(growth)).available)
    return failed.noSpace;
  const properties = withoutBookmarks(before.properties, bookmarksNewerThan(catalog, target));
  const after: Dataset = { ...before, file, volsize: target.volsize, properties };
  return succeed({ before, remove: snapshotsNewerThan(catalog, target), put: [after] });
}

/**
 * Makes a dataset what it was at a snapshot; with `destroyMoreRecent` destroys newer snapshots and bookmarks.
 * A volume gets a copy of the snapshot's file; a program that has the old one open keeps writing to that.
 * Fails: dataset.not_found, snapshot.newer_exist, dataset.has_clones and snapshot.held (of newer ones),
 * pool.no_space.
 */
export function rollBackDataset(
  pool: EmbeddedPool,
  name: SnapshotName,
  destroyMoreRecent: boolean,
  copies?: PreparedCopies,
): Promise<Outcome<null>> {
  const { catalog, files, transactions } = pool;
  const messagePrefix = `cannot rollback to '${name}'`;
  return catchStorageErrors(messagePrefix, async () => {
    const target = catalog.find(name);
    if (target?.type !== "snapshot") return failed.notFound;
    const failure = findRollbackFailure(catalog, target, destroyMoreRecent);
    if (failure) return failure;
    const hasData = target.file !== "";
    const copy = hasData ? await takeCopy(pool, target, copies) : succeed({ file: "" });
    if (!copy.ok) return copy;
    const { file } = copy.value;
    const rolledBack = await transactions.run({
      messagePrefix,
      decide: (staged) => decideRollback(pool, staged, target, destroyMoreRecent, file),
      newFiles: [file],
    });
    if (!rolledBack.ok) return rolledBack;
    if (hasData) await files.link(datasetOf(name), file);
    await transactions.removeDataOf(rolledBack.value.remove);
    await transactions.removeUnusedFiles([rolledBack.value.before.file]);
    return succeed(null);
  });
}
