import { parentOf } from "../../../protocol/storage/names.js";
import type { DatasetGroups } from "./catalog-lookups.js";
import type { Dataset, Snapshot } from "./dataset.js";
import { createSortedNames, type SortedNames } from "./sorted-names.js";

/** Datasets by all that they are looked up by. */
export interface CatalogIndex extends DatasetGroups {
  /** Its name and id must be free. */
  add(dataset: Dataset): void;
  /** Takes the same object that was added. */
  remove(dataset: Dataset): void;
  /** The names of all datasets of a type. The first call for a type sorts them; from then on they are kept up. */
  sortedNames(type: Dataset["type"]): Pick<SortedNames, "from">;
  /** How many datasets of a type there are. */
  countOf(type: Dataset["type"]): number;
  clear(): void;
}

/** Groups of datasets by a key. Most have one member: a Set of it would take more room than the dataset. */
function createGroups<Key, Member extends Dataset>() {
  const groups = new Map<Key, Member | Set<Member>>();
  return {
    of(key: Key): Iterable<Member> {
      const group = groups.get(key);
      if (group === undefined) return [];
      return group instanceof Set ? group : [group];
    },
    add(key: Key, member: Member): void {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, member);
      else if (group instanceof Set) group.add(member);
      else if (group !== member) groups.set(key, new Set([group, member]));
    },
    remove(key: Key, member: Member): void {
      const group = groups.get(key);
      if (group instanceof Set) group.delete(member);
      if (group === member || (group instanceof Set && group.size === 0)) groups.delete(key);
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
  const counts: Record<Dataset["type"], number> = { filesystem: 0, volume: 0, snapshot: 0 };
  /** Of the types that were asked for. */
  const sorted = new Map<Dataset["type"], SortedNames>();

  function sortNames(type: Dataset["type"]): SortedNames {
    const found = [...byId.values()].filter((dataset) => dataset.type === type);
    const names = createSortedNames(found.map(({ name }) => name));
    sorted.set(type, names);
    return names;
  }

  return {
    find: (name) => byName.get(name),
    findById: (id) => byId.get(id),
    datasets: () => byId.values(),
    childrenOf: children.of,
    snapshotGroupOf: snapshots.of,
    cloneGroupOf: clones.of,
    countUsers: (file) => fileUsers.get(file) ?? 0,
    sortedNames: (type) => sorted.get(type) ?? sortNames(type),
    countOf: (type) => counts[type],

    add(dataset) {
      byName.set(dataset.name, dataset);
      byId.set(dataset.id, dataset);
      counts[dataset.type]++;
      sorted.get(dataset.type)?.add(dataset.name);
      const parent = parentOf(dataset.name);
      if (dataset.type === "snapshot") snapshots.add(parent, dataset);
      else children.add(parent, dataset);
      if (dataset.origin !== undefined) clones.add(dataset.origin, dataset);
      if (dataset.file !== "") fileUsers.set(dataset.file, (fileUsers.get(dataset.file) ?? 0) + 1);
    },
    remove(dataset) {
      byName.delete(dataset.name);
      byId.delete(dataset.id);
      counts[dataset.type]--;
      sorted.get(dataset.type)?.remove(dataset.name);
      const parent = parentOf(dataset.name);
      if (dataset.type === "snapshot") snapshots.remove(parent, dataset);
      else children.remove(parent, dataset);
      if (dataset.origin !== undefined) clones.remove(dataset.origin, dataset);
      const users = (fileUsers.get(dataset.file) ?? 1) - 1;
      if (users > 0) fileUsers.set(dataset.file, users);
      else fileUsers.delete(dataset.file);
    },
    clear() {
      Object.assign(counts, { filesystem: 0, volume: 0, snapshot: 0 });
      for (const groups of [byName, byId, children, snapshots, clones, fileUsers, sorted]) groups.clear();
    },
  };
}
