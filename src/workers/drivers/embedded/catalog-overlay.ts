import { createCatalogIndex } from "./catalog-index.js";
import type { DatasetGroups } from "./catalog-lookups.js";
import type { Dataset } from "./dataset.js";

/** What changes a set of datasets: old states leave before new ones enter, so that a name never stands for two. */
export interface DatasetChange {
  /** New datasets, and new states of those whose id exists already. */
  readonly put?: readonly Dataset[];
  /** Datasets that are destroyed, as they are. */
  readonly remove?: readonly Dataset[];
}

/** Datasets as they will be when changes that are not made yet are made. */
export interface CatalogOverlay extends DatasetGroups {
  /** @returns what leaves and what enters. */
  stage(change: DatasetChange): { readonly left: readonly Dataset[]; readonly entered: readonly Dataset[] };
  /** What all changes together come to. `removed` are states of the base, `put` the states that are new. */
  net(): { readonly removed: readonly Dataset[]; readonly put: readonly Dataset[] };
  /** Forgets all changes: they have been made, or never will be. */
  clear(): void;
}

/** Costs as much as the changes are large, however many datasets `base` has. */
export function createCatalogOverlay(base: DatasetGroups): CatalogOverlay {
  /** New datasets and new states. */
  const added = createCatalogIndex();
  /** States of `base` that are no more. */
  const hidden = createCatalogIndex();

  const isShown = ({ id }: Dataset) => hidden.findById(id) === undefined;
  function* merged<Member extends Dataset>(old: Iterable<Member>, fresh: Iterable<Member>): Iterable<Member> {
    for (const dataset of old) if (isShown(dataset)) yield dataset;
    yield* fresh;
  }
  function shown(dataset: Dataset | undefined): Dataset | undefined {
    return dataset && isShown(dataset) ? dataset : undefined;
  }
  function findById(id: number): Dataset | undefined {
    return added.findById(id) ?? shown(base.findById(id));
  }
  function hide(dataset: Dataset): void {
    if (added.findById(dataset.id)) added.remove(dataset);
    else hidden.add(dataset);
  }

  return {
    find: (name) => added.find(name) ?? shown(base.find(name)),
    findById,
    datasets: () => merged(base.datasets(), added.datasets()),
    childrenOf: (name) => merged(base.childrenOf(name), added.childrenOf(name)),
    snapshotGroupOf: (name) => merged(base.snapshotGroupOf(name), added.snapshotGroupOf(name)),
    cloneGroupOf: (id) => merged(base.cloneGroupOf(id), added.cloneGroupOf(id)),
    countUsers: (file) => base.countUsers(file) - hidden.countUsers(file) + added.countUsers(file),
    stage({ remove = [], put = [] }) {
      const left = [...remove, ...put.flatMap(({ id }) => findById(id) ?? [])];
      left.forEach(hide);
      put.forEach(added.add);
      return { left, entered: put };
    },
    net: () => ({ removed: [...hidden.datasets()], put: [...added.datasets()] }),
    clear() {
      added.clear();
      hidden.clear();
    },
  };
}
