import type { Dataset, Snapshot } from "./dataset.js";

/** Look-ups of datasets. Each costs as much as its answer is long, however many datasets there are. */
export interface DatasetLookups {
  find(name: string): Dataset | undefined;
  findById(id: number): Dataset | undefined;
  /** All datasets, in no order. */
  datasets(): Iterable<Dataset>;
  /** `root`, its snapshots, and everything below it, in the order of their names. */
  subtree(root: string): Dataset[];
  /** The same in no order, which is many times as fast where there are many. */
  within(root: string): Dataset[];
  /** The snapshots of one dataset, oldest first. */
  snapshotsOf(dataset: string): Snapshot[];
  /** The clones of the snapshot with this id. */
  clonesOf(id: number): Dataset[];
  /** Whether the data of any dataset is in this file. */
  isFileUsed(file: string): boolean;
}

interface CatalogIndex extends DatasetLookups {
  /** Its name and id must be free. */
  add(dataset: Dataset): void;
  /** Takes the same object that was added. */
  remove(dataset: Dataset): void;
  /** How many datasets have their data in this file. */
  countUsers(file: string): number;
}

/** Replaces "/" and "@" by the smallest characters: a dataset's snapshots and children sort right behind it. */
function sortKey(name: string): string {
  return name.replaceAll("/", "\u0001").replaceAll("@", "\u0000");
}

function sortByName(datasets: readonly Dataset[]): Dataset[] {
  const keyed = datasets.map((dataset) => ({ dataset, key: sortKey(dataset.name) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ dataset }) => dataset);
}

/** The dataset that a snapshot belongs to or that a dataset lies in; "" for a pool's root. */
function parentOf(name: string): string {
  const at = name.indexOf("@");
  return at < 0 ? name.slice(0, Math.max(name.lastIndexOf("/"), 0)) : name.slice(0, at);
}

/** Groups of datasets by a key. */
function createGroups<Key>() {
  const groups = new Map<Key, Set<Dataset>>();
  return {
    of: (key: Key): Iterable<Dataset> => groups.get(key) ?? [],
    add(key: Key, dataset: Dataset): void {
      const group = groups.get(key) ?? new Set();
      groups.set(key, group.add(dataset));
    },
    remove(key: Key, dataset: Dataset): void {
      const group = groups.get(key);
      group?.delete(dataset);
      if (group?.size === 0) groups.delete(key);
    },
  };
}

export function createCatalogIndex(): CatalogIndex {
  const byName = new Map<string, Dataset>();
  const byId = new Map<number, Dataset>();
  const children = createGroups<string>();
  const clones = createGroups<number>();
  /** How many datasets have their data in a file. */
  const fileUsers = new Map<string, number>();

  function within(root: string): Dataset[] {
    const found: Dataset[] = [];
    const visit = (dataset: Dataset) => {
      found.push(dataset);
      for (const child of children.of(dataset.name)) visit(child);
    };
    const top = byName.get(root);
    if (top) visit(top);
    return found;
  }

  return {
    find: (name) => byName.get(name),
    findById: (id) => byId.get(id),
    datasets: () => byId.values(),
    subtree: (root) => sortByName(within(root)),
    within,
    snapshotsOf: (dataset) =>
      [...children.of(dataset)]
        .filter((child) => child.type === "snapshot")
        .sort((a, b) => (a.createtxg < b.createtxg ? -1 : 1)),
    clonesOf: (id) => [...clones.of(id)],
    isFileUsed: (file) => fileUsers.has(file),
    countUsers: (file) => fileUsers.get(file) ?? 0,

    add(dataset) {
      byName.set(dataset.name, dataset);
      byId.set(dataset.id, dataset);
      children.add(parentOf(dataset.name), dataset);
      if (dataset.origin !== undefined) clones.add(dataset.origin, dataset);
      if (dataset.file !== "") fileUsers.set(dataset.file, (fileUsers.get(dataset.file) ?? 0) + 1);
    },
    remove(dataset) {
      byName.delete(dataset.name);
      byId.delete(dataset.id);
      children.remove(parentOf(dataset.name), dataset);
      if (dataset.origin !== undefined) clones.remove(dataset.origin, dataset);
      const users = (fileUsers.get(dataset.file) ?? 1) - 1;
      if (users > 0) fileUsers.set(dataset.file, users);
      else fileUsers.delete(dataset.file);
    },
  };
}
