import { Mutex } from "async-mutex";
import type { Outcome } from "../../../protocol/storage/failures.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { createBatcher } from "../../batching/batcher.js";
import type { Catalog, CatalogChange, CatalogView } from "./catalog.js";
import type { Dataset } from "./dataset.js";
import type { SpaceReserve } from "./space-reserve.js";
import { catchStorageErrors } from "./storage-errors.js";
import type { VolumeFiles } from "./volume-files.js";

/** What a transaction does. */
export interface Transaction<Change extends CatalogChange> {
  /** Begins the message of a storage error. */
  readonly messagePrefix: string;
  /**
   * Decides on the datasets as all transactions before it leave them. May be called more than once,
   * if one of those fails after all.
   */
  decide(staged: CatalogView): Outcome<Change> | Promise<Outcome<Change>>;
  /**
   * Created for this change. Those that a dataset uses afterwards are published, the others removed, also
   * when it fails.
   */
  readonly newFiles?: readonly string[];
  /** For a change that makes room: the room that it may use for that. */
  readonly reserve?: SpaceReserve;
}

/**
 * Changes an embedded pool in one transaction after the other, and removes the files that no
 * dataset uses. Transactions that wait at the same time share a commit, and so its syncs.
 */
export interface CatalogTransactions {
  /**
   * Waits until every transaction before it is decided, decides, and commits the change: no other
   * change comes between the decision and the commit.
   * @returns the change as it was decided, now on the disk.
   */
  run<Change extends CatalogChange>(transaction: Transaction<Change>): Promise<Outcome<Change>>;
  /** Runs `work` while no transaction runs. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** Removes those of the files that no dataset uses. "" stands for no file. Never rejects. */
  removeUnusedFiles(files: readonly string[]): Promise<void>;
  /** Removes the links of destroyed datasets, and their files unless another dataset uses them. */
  removeDataOf(destroyed: readonly Dataset[]): Promise<void>;
}

/** How a transaction ended: it is stored, or it had nothing to store, unless there is an error. */
interface TransactionEnd {
  readonly error?: unknown;
}

/** A transaction that has not ended. It keeps what it decided for its caller. */
interface Pending {
  readonly newFiles: readonly string[];
  readonly reserve: SpaceReserve | undefined;
  /** @returns what is to be stored; undefined if it was refused. */
  decide(staged: CatalogView): Promise<CatalogChange | undefined>;
}

/** More wait for the next commit: one that is tried again one by one should not take long. */
const MOST_IN_A_GROUP = 256;

export function createCatalogTransactions(
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): CatalogTransactions {
  const mutex = new Mutex();
  const submit = createBatcher<Pending, TransactionEnd>({
    maxBatches: 1,
    maxItems: MOST_IN_A_GROUP,
    runBatch: (group) => mutex.runExclusive(() => runGroup(group)),
  });

  async function removeUnusedFiles(candidates: readonly string[]): Promise<void> {
    for (const file of candidates) {
      if (file === "" || catalog.isFileUsed(file)) continue;
      await files.remove(file).then(
        () => catalog.noteRemoved(file),
        (error: unknown) => {
          log.warn("a file could not be removed; the next start tries again", { file, error: String(error) });
        },
      );
    }
  }

  /** Moves the new files of stored changes to their places, before anybody can look for them there. */
  function publishFiles(changes: readonly CatalogChange[], newFiles: readonly string[]): void {
    const used = new Set(changes.flatMap(({ put = [] }) => put.map(({ file }) => file)));
    for (const file of newFiles) {
      if (file === "" || !used.has(file)) continue;
      try {
        files.publish(file);
      } catch (error) {
        log.error("a file could not be published; the next start tries again", {
          file,
          error: String(error),
        });
      }
    }
  }

  /**
   * Decides on all of a group, and commits their changes together. If that fails they are tried
   * again one by one, so that it fails for those alone that can't be stored. Nobody is answered
   * before the end: what was decided may rest on a change before it that can't be stored.
   */
  async function runGroup(group: readonly Pending[]): Promise<TransactionEnd[]> {
    const changes: CatalogChange[] = [];
    const newFiles = group.flatMap((pending) => pending.newFiles);
    const commit = () => catalog.commit(() => publishFiles(changes, newFiles));
    // The room that is kept for one must not be used by the others.
    const reserve = group.length === 1 ? group[0]?.reserve : undefined;
    try {
      for (const { decide } of group) {
        const change = await decide(catalog.staged);
        if (!change) continue;
        catalog.stage(change);
        changes.push(change);
      }
      await (reserve ? reserve.use(commit) : commit());
      return group.map(() => ({}));
    } catch (error) {
      catalog.dropStaged();
      if (group.length === 1) return [{ error }];
      const ends: TransactionEnd[] = [];
      for (const pending of group) ends.push(...(await runGroup([pending])));
      return ends;
    }
  }

  async function runTransaction<Change extends CatalogChange>({
    decide,
    newFiles = [],
    reserve,
  }: Transaction<Change>): Promise<Outcome<Change>> {
    /** As it was decided last. */
    let decided: Outcome<Change> | undefined;
    const { error } = await submit({
      newFiles,
      reserve,
      async decide(staged) {
        decided = await decide(staged);
        return decided.ok ? decided.value : undefined;
      },
    });
    if (error !== undefined || decided === undefined) throw error;
    return decided;
  }

  return {
    run: (transaction) =>
      catchStorageErrors(transaction.messagePrefix, async () => {
        try {
          return await runTransaction(transaction);
        } finally {
          await removeUnusedFiles(transaction.newFiles ?? []);
        }
      }),
    alone: (work) => mutex.runExclusive(work),
    removeUnusedFiles,
    removeDataOf: async (destroyed) => {
      for (const dataset of destroyed) if (dataset.type === "volume") await files.unlink(dataset.name);
      await removeUnusedFiles(destroyed.map(({ file }) => file));
    },
  };
}
