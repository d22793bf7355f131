import type { Dataset, Snapshot } from "./dataset.js";

/** Look-ups of datasets. Each costs as much as its answer is long, however many datasets there are. */
export interface DatasetLookups {
  find(name: string): Dataset | undefined;
  findById(id: number): Dataset | undefined;
  /** All datasets, in no order. */
  datasets(): Iterable<Dataset>;
  /** `root`, its snapshots, and everything below it, in the order of their names. With a type, only those of it. */
  subtree(root: string, type?: Dataset["type"]): Dataset[];
  /** The same in no order, which is many times as fast where there are many. */
  within(root: string, type?: Dataset["type"]): Dataset[];
  /** The snapshots of one dataset, oldest first. */
  snapshotsOf(dataset: string): Snapshot[];
  /** The last of these, without a sort of them. */
  newestSnapshotOf(dataset: string): Snapshot | undefined;
  /** The clones of the snapshot with this id. */
  clonesOf(id: number): Dataset[];
  /** How many datasets have their data in this file. */
  countUsers(file: string): number;
  /** Whether the data of any dataset is in this file. */
  isFileUsed(file: string): boolean;
}

/** The groups that look-ups are made of. The groups are in no order. */
export interface DatasetGroups extends Pick<DatasetLookups, "find" | "findById" | "datasets" | "countUsers"> {
  /** The filesystems and volumes right below a dataset. */
  childrenOf(name: string): Iterable<Dataset>;
  snapshotGroupOf(name: string): Iterable<Snapshot>;
  cloneGroupOf(id: number): Iterable<Dataset>;
}

/** Replaces "/" and "@" by the smallest characters: a dataset's snapshots and children sort right behind it. */
function sortKey(name: string): string {
  return name.replaceAll("/", "\u0001").replaceAll("@", "\u0000");
}

function sortByName(datasets: readonly Dataset[]): Dataset[] {
  const keyed = datasets.map((dataset) => ({ dataset, key: sortKey(dataset.name) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ dataset }) => dataset);
}

export function lookUpIn(groups: DatasetGroups): DatasetLookups {
  const { find, findById, datasets, countUsers } = groups;

  function within(root: string, type?: Dataset["type"]): Dataset[] {
    const found: Dataset[] = [];
    const take = (dataset: Dataset) => {
      if (type === undefined || dataset.type === type) found.push(dataset);
    };
    const wantsSnapshots = type === undefined || type === "snapshot";
    const visit = (dataset: Dataset) => {
      take(dataset);
      // There may be very many.
      if (wantsSnapshots) for (const snapshot of groups.snapshotGroupOf(dataset.name)) found.push(snapshot);
      for (const child of groups.childrenOf(dataset.name)) visit(child);
    };
    const top = find(root);
    if (top) visit(top);
    return found;
  }

  return {
    find,
    findById,
    datasets,
    countUsers,
    within,
    subtree: (root, type) => sortByName(within(root, type)),
    snapshotsOf: (dataset) =>
      [...groups.snapshotGroupOf(dataset)].sort((a, b) => (a.createtxg < b.createtxg ? -1 : 1)),
    newestSnapshotOf(dataset) {
      let newest: Snapshot | undefined;
      for (const each of groups.snapshotGroupOf(dataset)) {
        if (newest === undefined || each.createtxg > newest.createtxg) newest = each;
      }
      return newest;
    },
    clonesOf: (id) => [...groups.cloneGroupOf(id)],
    isFileUsed: (file) => countUsers(file) > 0,
  };
}
