import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
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
