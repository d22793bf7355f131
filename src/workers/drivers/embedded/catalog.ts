import { existsSync } from "node:fs";
import { Mutex } from "async-mutex";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Sqlite } from "../../sqlite/sqlite.js";
import { openOwnSqlite } from "../../sqlite/sqlite-file.js";
import { createCatalogIndex } from "./catalog-index.js";
import { type DatasetLookups, lookUpIn } from "./catalog-lookups.js";
import { createCatalogOverlay, type DatasetChange } from "./catalog-overlay.js";
import { type CatalogPages, pagesIn } from "./catalog-pages.js";
import {
  ADD_DISCARDED,
  ADD_HOLDS,
  CATALOG_TABLES,
  CATALOG_VERSION,
  DELETE_DATASETS,
  DELETE_DISCARDED,
  DELETE_HOLDS,
  datasetValues,
  PUT_DATASETS,
} from "./catalog-rows.js";
import { createCatalogUpkeep } from "./catalog-upkeep.js";
import type { Dataset, Hold } from "./dataset.js";
import { readCatalog, type StoredCatalog } from "./stored-catalog.js";

/** A change that is made as a whole or not at all. */
export interface CatalogChange extends DatasetChange {
  readonly addHold?: Hold;
  readonly removeHold?: Hold;
}

/** What changes are decided on. */
export interface CatalogView extends DatasetLookups {
  /** The tags of the holds on the dataset with this id. */
  holdsOf(id: number): ReadonlySet<string>;
  /** An id that no dataset has or had, also in earlier runs. */
  nextId(): number;
  /** A transaction group number above those of all datasets, also of those that were destroyed. */
  nextTxg(): bigint;
}

/** Is told of each state of a dataset that enters or leaves the staged ones. */
export interface CatalogWatcher {
  entered(dataset: Dataset): void;
  left(dataset: Dataset): void;
  /** What has entered and left since the last call is on the disk, or was undone by calls that turn it back. */
  settled(): void;
}

/**
 * The datasets and holds of a pool, in memory and in a SQLite file. Memory answers every look-up.
 * It is never ahead of the file: changes are staged, which only `staged` shows, until one commit
 * has put all of them on the disk.
 */
export interface Catalog extends CatalogView, CatalogPages {
  /** As it will be when what is staged is committed. */
  readonly staged: CatalogView;
  /** Adds a change to those that the next commit makes. Its datasets are states that `staged` shows. */
  stage(change: CatalogChange): void;
  /** Forgets what is staged. */
  dropStaged(): void;
  /**
   * Resolves once what is staged is on the disk and visible to look-ups; after a crash all of it is
   * there or nothing. Rejects with SQLite's error, and then it is staged still.
   * The caller must await it before it stages more.
   * `onStored` is called between the two, once it is on the disk; it must not throw.
   */
  commit(onStored?: () => void): Promise<void>;
  watch(watcher: CatalogWatcher): void;
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

/**
 * Opens the catalog in the file `path`, or creates an empty one. Rejects with CatalogDamage or SQLite's
 * error. `onLocked` is called once nobody else can change the pool, before the catalog is read.
 */
export async function openCatalog(
  path: string,
  log: ActorLog,
  onLocked: () => void = () => {},
): Promise<Catalog> {
  const database = await openOwnSqlite({
    path,
    // The catalog is the only record of what exists, so an answered change must survive a power cut.
    synchronous: "FULL",
    version: CATALOG_VERSION,
    tables: CATALOG_TABLES,
  });
  try {
    onLocked();
    return createCatalog(database, await readCatalog(database), backupOf(path), log);
  } catch (error) {
    await database.close();
    throw error;
  }
}

function createCatalog(database: Sqlite, stored: StoredCatalog, backup: string, log: ActorLog): Catalog {
  const index = createCatalogIndex();
  const overlay = createCatalogOverlay(index);
  const stagedLookups = lookUpIn(overlay);
  /** Tags by the id of the snapshot. */
  const holds = new Map<number, ReadonlySet<string>>();
  /** The same, of those whose holds a staged change has changed. */
  const stagedHolds = new Map<number, ReadonlySet<string>>();
  /** What each staged change took away and put in its place, in their order. */
  let steps: ReturnType<typeof overlay.stage>[] = [];
  /** As the file has it, but for the removals that were noted since the last commit. */
  const discarded = new Set(stored.discarded);
  /** Files that staged changes leave without a dataset. */
  let stagedDiscarded: string[] = [];
  /** Noted and not stored yet. */
  let removedFiles: string[] = [];
  const watchers: CatalogWatcher[] = [];
  /** Taken for each transaction, and for each step of upkeep. */
  const turns = new Mutex();
  const upkeep = createCatalogUpkeep({ database, backup, turns, log });
  const { add, remove } = index;
  stored.datasets.forEach(add);
  for (const { id, tag } of stored.holds) holds.set(id, new Set(holds.get(id)).add(tag));
  const { nextId, nextTxg, lastGiven } = createNumbers(stored);
  if (!existsSync(backup)) upkeep.committed();

  const holdsOf = (id: number) => holds.get(id) ?? new Set<string>();
  const stagedHoldsOf = (id: number) => stagedHolds.get(id) ?? holdsOf(id);

  function stage(change: CatalogChange): void {
    const step = overlay.stage(change);
    steps.push(step);
    const files = new Set(step.left.map(({ file }) => file));
    for (const file of files) if (file !== "" && !stagedLookups.isFileUsed(file)) stagedDiscarded.push(file);
    for (const { id } of change.remove ?? []) if (stagedHoldsOf(id).size > 0) stagedHolds.set(id, new Set());
    const { addHold, removeHold } = change;
    if (addHold) stagedHolds.set(addHold.id, new Set(stagedHoldsOf(addHold.id)).add(addHold.tag));
    if (removeHold) {
      const left = [...stagedHoldsOf(removeHold.id)].filter((tag) => tag !== removeHold.tag);
      stagedHolds.set(removeHold.id, new Set(left));
    }
    for (const watcher of watchers) {
      step.left.forEach(watcher.left);
      step.entered.forEach(watcher.entered);
    }
  }

  function clearStaged(): void {
    overlay.clear();
    stagedHolds.clear();
    stagedDiscarded = [];
    steps = [];
    for (const watcher of watchers) watcher.settled();
  }

  /** All of it or nothing. */
  async function store(goneFiles: readonly string[]): Promise<void> {
    const { removed, put } = overlay.net();
    const putIds = new Set(put.map(({ id }) => id));
    const lists: readonly [string, readonly unknown[]][] = [
      [DELETE_DISCARDED, goneFiles],
      [ADD_DISCARDED, stagedDiscarded],
      [DELETE_DATASETS, removed.flatMap(({ id }) => (putIds.has(id) ? [] : [id]))],
      [PUT_DATASETS, put.map(datasetValues)],
      [DELETE_HOLDS, [...stagedHolds.keys()]],
      [ADD_HOLDS, [...stagedHolds].flatMap(([id, tags]) => [...tags].map((tag) => [id, tag]))],
    ];
    await database.run("BEGIN");
    try {
      for (const [sql, list] of lists) if (list.length > 0) await database.run(sql, JSON.stringify(list));
      if (put.length > 0)
        await database.run(
          "INSERT OR REPLACE INTO facts VALUES ('last_id', ?), ('last_txg', ?)",
          ...lastGiven(),
        );
      await database.run("COMMIT");
    } catch (error) {
      await database.run("ROLLBACK").catch(() => {});
      throw error;
    }
  }

  /** Repeats in memory what `store` did in the file. */
  function apply(): void {
    const { removed, put } = overlay.net();
    removed.forEach(remove);
    put.forEach(add);
    for (const [id, tags] of stagedHolds) {
      if (tags.size > 0) holds.set(id, tags);
      else holds.delete(id);
    }
    for (const file of stagedDiscarded) discarded.add(file);
  }

  return {
    ...lookUpIn(index),
    ...pagesIn(index),
    nextId,
    nextTxg,
    holdsOf,
    staged: { ...stagedLookups, nextId, nextTxg, holdsOf: stagedHoldsOf },
    isDiscarded: (file) => discarded.has(file),
    noteRemoved: (file) => {
      if (discarded.delete(file)) removedFiles.push(file);
    },
    watch: (watcher) => void watchers.push(watcher),
    stage,
    dropStaged() {
      for (const { left, entered } of steps.reverse()) {
        for (const watcher of watchers) {
          entered.forEach(watcher.left);
          left.forEach(watcher.entered);
        }
      }
      clearStaged();
    },
    async commit(onStored = () => {}) {
      if (steps.every(({ left, entered }) => left.length + entered.length === 0) && stagedHolds.size === 0)
        return clearStaged();
      const goneFiles = [...removedFiles];
      await turns.runExclusive(() => store(goneFiles));
      removedFiles = removedFiles.slice(goneFiles.length);
      onStored();
      // Only now, on the disk, may others see it: memory is never ahead of the file.
      apply();
      clearStaged();
      upkeep.committed();
    },
    close: async () => {
      await upkeep.end();
      await database.close();
    },
  };
}

/** Gives out numbers above all that were given out before. The file keeps the last ones, so that none is used again. */
function createNumbers({ datasets, lastId, lastTxg }: StoredCatalog) {
  let id = lastId;
  let txg = lastTxg;
  for (const dataset of datasets) {
    id = Math.max(id, dataset.id);
    if (dataset.createtxg > txg) txg = dataset.createtxg;
  }
  return {
    nextId: () => ++id,
    nextTxg: () => ++txg,
    lastGiven: () => [String(id), String(txg)],
  };
}

/** The name of the snapshot that a dataset is a clone of. */
export function originOf(catalog: DatasetLookups, { origin }: Dataset): SnapshotName | undefined {
  const snapshot = origin === undefined ? undefined : catalog.findById(origin);
  return snapshot?.type === "snapshot" ? snapshot.name : undefined;
}
