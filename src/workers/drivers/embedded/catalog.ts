import { existsSync } from "node:fs";
import { Mutex } from "async-mutex";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Sqlite } from "../../sqlite/sqlite.js";
import { openOwnSqlite } from "../../sqlite/sqlite-file.js";
import { createCatalogIndex, type DatasetLookups } from "./catalog-index.js";
import {
  CATALOG_TABLES,
  CATALOG_VERSION,
  CatalogDamage,
  datasetOfRow,
  datasetValues,
  holdOfRow,
  PUT_DATASET,
} from "./catalog-rows.js";
import { createCatalogUpkeep } from "./catalog-upkeep.js";
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
  /** An id that no dataset has or had, also in earlier runs. */
  nextId(): number;
  /** A transaction group number above those of all datasets, also of those that were destroyed. */
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

/** Where a catalog's backup is: beside its file, `pool.backup.db` for `pool.db`. */
export function backupOf(path: string): string {
  return path.replace(/(?:\.db)?$/, ".backup.db");
}

/** What a catalog's file holds. */
interface StoredCatalog {
  readonly datasets: readonly Dataset[];
  readonly holds: readonly Hold[];
  readonly discarded: readonly string[];
  readonly lastId: number;
  readonly lastTxg: bigint;
}

/** Reads all tables. Throws CatalogDamage, or SQLite's error. */
export async function readCatalog(database: Sqlite): Promise<StoredCatalog> {
  const [check] = await database.all("PRAGMA integrity_check(1)");
  if (check?.integrity_check !== "ok") throw new CatalogDamage(`SQLite finds: ${check?.integrity_check}`);
  const datasets = await database.all("SELECT * FROM datasets");
  const holds = await database.all("SELECT id, tag FROM holds");
  const discarded = await database.all("SELECT file FROM discarded");
  const facts = await database.all("SELECT name, value FROM facts WHERE name IN ('last_id', 'last_txg')");
  const given = (name: string) => /^\d+$/.exec(String(facts.find((row) => row.name === name)?.value))?.[0];
  return {
    datasets: datasets.map(datasetOfRow),
    holds: holds.map(holdOfRow),
    discarded: discarded.map(({ file }) => String(file)),
    lastId: Number(given("last_id") ?? 0),
    lastTxg: BigInt(given("last_txg") ?? 0),
  };
}

/** Opens the catalog in the file `path`, or creates an empty one. Rejects with CatalogDamage or SQLite's error. */
export async function openCatalog(path: string, log: ActorLog): Promise<Catalog> {
  const database = await openOwnSqlite({
    path,
    // The catalog is the only record of what exists, so an answered change must survive a power cut.
    synchronous: "FULL",
    version: CATALOG_VERSION,
    tables: CATALOG_TABLES,
  });
  try {
    return createCatalog(database, await readCatalog(database), backupOf(path), log);
  } catch (error) {
    await database.close();
    throw error;
  }
}

function createCatalog(database: Sqlite, stored: StoredCatalog, backup: string, log: ActorLog): Catalog {
  const { add, remove, countUsers, ...lookups } = createCatalogIndex();
  /** Tags by the id of the snapshot. */
  const holds = new Map<number, Set<string>>();
  /** As the file has it, but for the removals that were noted since the last commit. */
  const discarded = new Set(stored.discarded);
  /** Noted and not stored yet. */
  let removedFiles: string[] = [];
  /** The highest id given out; at least that of every dataset. The file keeps it, so that none is used again. */
  let { lastId } = stored;
  /** The highest transaction group given out; at least that of every dataset. Kept as the id is. */
  let { lastTxg } = stored;
  /** Taken for each transaction, and for each step of upkeep. */
  const turns = new Mutex();
  const upkeep = createCatalogUpkeep({ database, backup, turns, log });

  function addHold({ id, tag }: Hold): void {
    const tags = holds.get(id) ?? new Set();
    holds.set(id, tags.add(tag));
  }

  for (const dataset of stored.datasets) {
    add(dataset);
    lastId = Math.max(lastId, dataset.id);
    if (dataset.createtxg > lastTxg) lastTxg = dataset.createtxg;
  }
  stored.holds.forEach(addHold);
  if (!existsSync(backup)) upkeep.committed();

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
    if (change.put) {
      const given = [String(lastId), String(lastTxg)];
      await database.run("INSERT OR REPLACE INTO facts VALUES ('last_id', ?), ('last_txg', ?)", ...given);
    }
    if (change.addHold) {
      await database.run("INSERT INTO holds VALUES (?, ?)", change.addHold.id, change.addHold.tag);
    }
    if (change.removeHold) {
      const { id, tag } = change.removeHold;
      await database.run("DELETE FROM holds WHERE id = ? AND tag = ?", id, tag);
    }
  }

  /** All of it or nothing. */
  async function storeAtOnce(...stores: Parameters<typeof store>): Promise<void> {
    await database.run("BEGIN");
    try {
      await store(...stores);
      await database.run("COMMIT");
    } catch (error) {
      await database.run("ROLLBACK").catch(() => {});
      throw error;
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
      await turns.runExclusive(() => storeAtOnce(change, nowDiscarded, goneFiles));
      removedFiles = removedFiles.slice(goneFiles.length);
      for (const file of nowDiscarded) discarded.add(file);
      onStored();
      // Only now, on the disk, may others see it: memory is never ahead of the file.
      apply(change);
      upkeep.committed();
    },
    close: async () => {
      await upkeep.end();
      await database.close();
    },
  };
}

/** The name of the snapshot that a dataset is a clone of. */
export function originOf(catalog: DatasetLookups, { origin }: Dataset): SnapshotName | undefined {
  const snapshot = origin === undefined ? undefined : catalog.findById(origin);
  return snapshot?.type === "snapshot" ? snapshot.name : undefined;
}
