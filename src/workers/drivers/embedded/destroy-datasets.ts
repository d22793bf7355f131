import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { DoomedRecord } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { CatalogView } from "./catalog.js";
import type { Dataset } from "./dataset.js";
import { findDestroyFailure } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { catchStorageErrors } from "./storage-errors.js";

/** What `zfs destroy -r` destroys; without `recursive` more than one means that there are children. */
function selectDatasets(
  catalog: CatalogView,
  name: DatasetName | SnapshotName,
  recursive: boolean,
): readonly Dataset[] {
  if (!isSnapshotName(name) || !recursive) return catalog.subtree(name);
  const tag = tagOf(name);
  return catalog
    .subtree(datasetOf(name))
    .filter((dataset) => dataset.type === "snapshot" && tagOf(dataset.name) === tag);
}

function decideDestroy(
  catalog: CatalogView,
  name: DatasetName | SnapshotName,
  recursive: boolean,
): Outcome<{ readonly remove: readonly Dataset[] }> {
  const remove = selectDatasets(catalog, name, recursive);
  if (remove.length === 0) return failed.notFound;
  if (!recursive && remove.length > 1) {
    return fail("command.failed", `cannot destroy '${name}': it has children`);
  }
  return findDestroyFailure(catalog, remove, `${name} has`) ?? succeed({ remove });
}

/** What these take in files that no other dataset uses. A file is counted at the first that has its data in it. */
export function doomedRecords(
  { catalog, files }: Pick<EmbeddedPool, "catalog" | "files">,
  datasets: readonly Dataset[],
): readonly DoomedRecord[] {
  const users = new Map<string, number>();
  for (const { file } of datasets) users.set(file, (users.get(file) ?? 0) + 1);
  return datasets.map(({ name, file }) => {
    const goes = file !== "" && users.get(file) === catalog.countUsers(file);
    users.delete(file);
    return { name, used: goes ? files.allocatedNow(file) : bytes(0) };
  });
}

/** What destroyDatasets would destroy now. Fails as it does. */
export function findDoomedDatasets(
  pool: Pick<EmbeddedPool, "catalog" | "files">,
  name: DatasetName | SnapshotName,
  recursive: boolean,
): Outcome<readonly DoomedRecord[]> {
  const decided = decideDestroy(pool.catalog, name, recursive);
  return decided.ok ? succeed(doomedRecords(pool, decided.value.remove)) : decided;
}

/**
 * Destroys a dataset; with `recursive` everything below it or, for a snapshot, the snapshots
 * of that tag below its dataset.
 * Fails: dataset.not_found, dataset.has_clones, snapshot.held, command.failed (it has children).
 */
export function destroyDatasets(
  { transactions, reserve }: EmbeddedPool,
  name: DatasetName | SnapshotName,
  recursive: boolean,
): Promise<Outcome<null>> {
  const messagePrefix = `cannot destroy '${name}'`;
  return catchStorageErrors(messagePrefix, async () => {
    const destroyed = await transactions.run({
      messagePrefix,
      decide: (staged) => decideDestroy(staged, name, recursive),
      reserve,
    });
    if (!destroyed.ok) return destroyed;
    await transactions.removeDataOf(destroyed.value.remove);
    await reserve.restore();
    return succeed(null);
  });
}
