import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  type PoolName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { CatalogView } from "./catalog.js";
import type { Dataset } from "./dataset.js";
import { longNameFailure, missingParents, snapshotName } from "./dataset-rules.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { catchStorageErrors } from "./storage-errors.js";

/** A dataset of the subtree `from`, under its name in the subtree `to`. */
function moved(dataset: Dataset, from: DatasetName, to: DatasetName): Dataset {
  const move = (name: string) => (name === from ? to : childOf(to, name.slice(from.length + 1)));
  if (dataset.type !== "snapshot") return { ...dataset, name: move(dataset.name) };
  return { ...dataset, name: snapshotName(move(datasetOf(dataset.name)), tagOf(dataset.name)) };
}

function decideRename(
  catalog: CatalogView,
  pool: PoolName,
  from: DatasetName,
  to: DatasetName,
  makeParents: boolean,
) {
  const before = catalog.subtree(from);
  if (before.length === 0) return failed.notFound;
  if (catalog.find(to)) return failed.exists;
  const parents = missingParents(catalog, pool, to);
  if (!parents.ok) return parents;
  if (parents.value.length > 0 && !makeParents) {
    return fail("dataset.wrong_type", `cannot create '${to}': parent does not exist`);
  }
  const after = before.map((dataset) => moved(dataset, from, to));
  const tooLong = longNameFailure(`cannot rename '${from}'`, after);
  return tooLong ?? succeed({ before, put: [...parents.value, ...after] });
}

/**
 * Renames a dataset with everything below it; with `makeParents` creates the parents that are missing.
 * Fails: dataset.not_found, dataset.exists, dataset.wrong_type (the new parent is no filesystem),
 * name.invalid (that of a snapshot would be too long).
 */
export function renameDataset(
  pool: EmbeddedPool,
  from: DatasetName,
  to: DatasetName,
  makeParents = false,
): Promise<Outcome<null>> {
  const { catalog, files, transactions } = pool;
  const messagePrefix = `cannot rename '${from}'`;
  return catchStorageErrors(messagePrefix, async () => {
    const renamed = await transactions.run({
      messagePrefix,
      decide: (staged) => decideRename(staged, pool.name, from, to, makeParents),
    });
    if (!renamed.ok) return renamed;
    for (const volume of renamed.value.before) {
      if (volume.type !== "volume") continue;
      await files.unlink(volume.name);
      // As it is now: it may have been renamed again or destroyed meanwhile.
      const current = catalog.findById(volume.id);
      if (current?.type === "volume") await files.link(current.name, current.file);
    }
    return succeed(null);
  });
}
