import type { SnapshotName } from "../../../protocol/storage/names.js";
import { openOwnSqlite, type Sqlite } from "../../sqlite/sqlite-file.js";
import { createCatalogIndex, type DatasetLookups } from "./catalog-index.js";
import { CATALOG_TABLES, datasetOfRow, datasetValues, holdOfRow, PUT_DATASET } from "./catalog-rows.js";
import type { Dataset, Hold } from "./dataset.js";

/** What one commit changes: all of it or nothing. */
export interface CatalogChange {
  /** New datasets, and new states of those whose id exists already. */
  readonly put?: readonly Dataset[];
  /** Datasets that are destroyed. */
  readonly remove?: readonly Dataset[];
  readonly addHold?: Hold;
  readonly removeHold?: Hold;
}

/** The datasets and holds of a pool, in memory and in a SQLite file. Memory answers every look-up. */
export interface Catalog extends DatasetLookups {
  /** The tags of the holds on the dataset with this id. */
  holdsOf(id: number): ReadonlySet<string>;
  /** An id that this catalog has not given out before and no dataset has. */
  nextId(): number;
  /** A transaction group number above those of all datasets. */
  nextTxg(): bigint;
  /**
   * Resolves once the change is on the disk and visible to look-ups; after a crash all of it is
   * there or nothing. Rejects with SQLite's error, and then nothing has changed.
   * The caller must await it before the next: two commits may not overlap.
   * `onStored` is called between the two, once the change is on the disk; it must not throw.
   */
  commit(change: CatalogChange, onStored?: () => void): Promise<void>;
  /** Whether a commit left this file without any dataset, and its removal was not noted since. */
  isDiscarded(file: string): boolean;
  /** Notes that a discarded file is gone. The next commit stores it; a crash before that does no harm. */
  noteRemoved(file: string): void;
  close(): Promise<void>;
}

/** Opens the catalog in the file `path`, or creates an empty one. Rejects with SQLite's error. */
export async function openCatalog(path: string): Promise<Catalog> {
  // FULL: the catalog is the only record of what exists, so an answered change must survive a power cut.
  const database = await openOwnSqlite(path, "FULL", CATALOG_TABLES);
  try {
    const datasets = await database.all("SELECT * FROM datasets");
    const holds = await database.all("SELECT id, tag FROM holds");
    const discarded = await database.all("SELECT file FROM discarded");
    const files = discarded.map(({ file }) => String(file));
    return createCatalog(database, datasets.map(datasetOfRow), holds.map(holdOfRow), files);
  } catch (error) {
    await database.close();
    throw error;
  }
}

function createCatalog(
  database: Sqlite,
  storedDatasets: readonly Dataset[],
  storedHolds: readonly Hold[],
  storedDiscarded: readonly string[],
): Catalog {
  const { add, remove, countUsers, ...lookups } = createCatalogIndex();
  /** Tags by the id of the snapshot. */
  const holds = new Map<number, Set<string>>();
  /** As the file has it, but for the removals that were noted since the last commit. */
  const discarded = new Set(storedDiscarded);
  /** Noted and not stored yet. */
  let removedFiles: string[] = [];
  /** The highest id given out; at least that of every dataset. */
  let lastId = 0;
  /** The highest transaction group given out; at least that of every dataset. */
  let lastTxg = 0n;

  function addHold({ id, tag }: Hold): void {
    const tags = holds.get(id) ?? new Set();
    holds.set(id, tags.add(tag));
  }

  for (const dataset of storedDatasets) {
    add(dataset);
    lastId = Math.max(lastId, dataset.id);
    if (dataset.createtxg > lastTxg) lastTxg = dataset.createtxg;
  }
  storedHolds.forEach(addHold);

  /** The files that no dataset uses once the change is made, and some dataset uses before it. */
  function filesDiscardedBy({ remove: removed = [], put = [] }: CatalogChange): string[] {
    const old = [...removed, ...put.flatMap(({ id }) => lookups.findById(id) ?? [])];
    const usersLeft = new Map<string, number>();
    for (const { file } of old) usersLeft.set(file, (usersLeft.get(file) ?? countUsers(file)) - 1);
    for (const { file } of put) usersLeft.set(file, (usersLeft.get(file) ?? countUsers(file)) + 1);
    return [...usersLeft].flatMap(([file, users]) => (file !== "" && users === 0 ? [file] : []));
  }

  async function store(
    change: CatalogChange,
    nowDiscarded: readonly string[],
    goneFiles: readonly string[],
  ): Promise<void> {
    for (const file of goneFiles) await database.run("DELETE FROM discarded WHERE file = ?", file);
    for (const file of nowDiscarded) await database.run("INSERT OR IGNORE INTO discarded VALUES (?)", file);
    for (const { id } of change.remove ?? []) {
      await database.run("DELETE FROM datasets WHERE id = ?", id);
      await database.run("DELETE FROM holds WHERE id = ?", id);
    }
    for (const dataset of change.put ?? []) await database.run(PUT_DATASET, ...datasetValues(dataset));
    if (change.addHold) {
      await database.run("INSERT INTO holds VALUES (?, ?)", change.addHold.id, change.addHold.tag);
    }
    if (change.removeHold) {
      const { id, tag } = change.removeHold;
      await database.run("DELETE FROM holds WHERE id = ? AND tag = ?", id, tag);
    }
  }

  /** Repeats in memory what `store` did in the file. */
  function apply(change: CatalogChange): void {
    for (const dataset of change.remove ?? []) {
      remove(dataset);
      holds.delete(dataset.id);
    }
    // All old states leave the index before the new ones enter, so that a name never stands for two.
    for (const { id } of change.put ?? []) {
      const previous = lookups.findById(id);
      if (previous) remove(previous);
    }
    change.put?.forEach(add);
    if (change.addHold) addHold(change.addHold);
    if (change.removeHold) holds.get(change.removeHold.id)?.delete(change.removeHold.tag);
  }

  return {
    ...lookups,
    holdsOf: (id) => holds.get(id) ?? new Set(),
    nextId: () => ++lastId,
    nextTxg: () => ++lastTxg,
    isDiscarded: (file) => discarded.has(file),
    noteRemoved: (file) => {
      if (discarded.delete(file)) removedFiles.push(file);
    },
    commit: async (change, onStored = () => {}) => {
      const nowDiscarded = filesDiscardedBy(change);
      const goneFiles = [...removedFiles];
      await database.run("BEGIN");
      try {
        await store(change, nowDiscarded, goneFiles);
        await database.run("COMMIT");
      } catch (error) {
        await database.run("ROLLBACK").catch(() => {});
        throw error;
      }
      removedFiles = removedFiles.slice(goneFiles.length);
      for (const file of nowDiscarded) discarded.add(file);
      onStored();
      // Only now, on the disk, may others see it: memory is never ahead of the file.
      apply(change);
    },
    close: () => database.close(),
  };
}

/** The name of the snapshot that a dataset is a clone of. */
export function originOf(catalog: DatasetLookups, { origin }: Dataset): SnapshotName | undefined {
  const snapshot = origin === undefined ? undefined : catalog.findById(origin);
  return snapshot?.type === "snapshot" ? snapshot.name : undefined;
}
