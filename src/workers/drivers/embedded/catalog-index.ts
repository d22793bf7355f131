import type { DatasetGroups } from "./catalog-lookups.js";
import type { Dataset, Snapshot } from "./dataset.js";

/** Datasets by all that they are looked up by. */
export interface CatalogIndex extends DatasetGroups {
  /** Its name and id must be free. */
  add(dataset: Dataset): void;
  /** Takes the same object that was added. */
  remove(dataset: Dataset): void;
  clear(): void;
}

/** The dataset that a snapshot belongs to or that a dataset lies in; "" for a pool's root. */
function parentOf(name: string): string {
  const at = name.indexOf("@");
  return at < 0 ? name.slice(0, Math.max(name.lastIndexOf("/"), 0)) : name.slice(0, at);
}

/** Groups of datasets by a key. */
function createGroups<Key, Member extends Dataset>() {
  const groups = new Map<Key, Set<Member>>();
  return {
    of: (key: Key): Iterable<Member> => groups.get(key) ?? [],
    add(key: Key, member: Member): void {
      const group = groups.get(key) ?? new Set();
      groups.set(key, group.add(member));
    },
    remove(key: Key, member: Member): void {
      const group = groups.get(key);
      group?.delete(member);
      if (group?.size === 0) groups.delete(key);
    },
    clear: () => groups.clear(),
  };
}

export function createCatalogIndex(): CatalogIndex {
  const byName = new Map<string, Dataset>();
  const byId = new Map<number, Dataset>();
  const children = createGroups<string, Dataset>();
  const snapshots = createGroups<string, Snapshot>();
  const clones = createGroups<number, Dataset>();
  /** How many datasets have their data in a file. */
  const fileUsers = new Map<string, number>();

  return {
    find: (name) => byName.get(name),
    findById: (id) => byId.get(id),
    datasets: () => byId.values(),
    childrenOf: children.of,
    snapshotGroupOf: snapshots.of,
    cloneGroupOf: clones.of,
    countUsers: (file) => fileUsers.get(file) ?? 0,

    add(dataset) {
      byName.set(dataset.name, dataset);
      byId.set(dataset.id, dataset);
      const parent = parentOf(dataset.name);
      if (dataset.type === "snapshot") snapshots.add(parent, dataset);
      else children.add(parent, dataset);
      if (dataset.origin !== undefined) clones.add(dataset.origin, dataset);
      if (dataset.file !== "") fileUsers.set(dataset.file, (fileUsers.get(dataset.file) ?? 0) + 1);
    },
    remove(dataset) {
      byName.delete(dataset.name);
      byId.delete(dataset.id);
      const parent = parentOf(dataset.name);
      if (dataset.type === "snapshot") snapshots.remove(parent, dataset);
      else children.remove(parent, dataset);
      if (dataset.origin !== undefined) clones.remove(dataset.origin, dataset);
      const users = (fileUsers.get(dataset.file) ?? 1) - 1;
      if (users > 0) fileUsers.set(dataset.file, users);
      else fileUsers.delete(dataset.file);
    },
    clear() {
      for (const groups of [byName, byId, children, snapshots, clones, fileUsers]) groups.clear();
    },
  };
}
