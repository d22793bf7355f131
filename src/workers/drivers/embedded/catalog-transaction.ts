import { Mutex } from "async-mutex";
import type { Outcome } from "../../../protocol/storage/failures.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Catalog, CatalogChange } from "./catalog.js";
import type { Dataset } from "./dataset.js";
import type { SpaceReserve } from "./space-reserve.js";
import { catchStorageErrors } from "./storage-errors.js";
import type { VolumeFiles } from "./volume-files.js";

/** Changes an embedded pool in one transaction after the other, and removes the files that no dataset uses. */
export interface CatalogTransactions {
  /**
   * Waits until every transaction before it has ended, calls `decide`, and commits the change
   * that it gives: no other change comes between the decision and the commit.
   * `newFiles` were created for this change; those that a dataset uses afterwards are published,
   * the others are removed, also when it fails. `messagePrefix` begins the message of a storage error.
   * `reserve`: for a change that makes room, the room that it may use for that.
   * @returns the change as it was decided, now on the disk.
   */
  run<Change extends CatalogChange>(
    messagePrefix: string,
    decide: () => Outcome<Change> | Promise<Outcome<Change>>,
    newFiles?: readonly string[],
    reserve?: SpaceReserve,
  ): Promise<Outcome<Change>>;
  /** Runs `work` while no transaction runs. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /** Removes those of the files that no dataset uses. "" stands for no file. Never rejects. */
  removeUnusedFiles(files: readonly string[]): Promise<void>;
  /** Removes the links of destroyed datasets, and their files unless another dataset uses them. */
  removeDataOf(destroyed: readonly Dataset[]): Promise<void>;
}

export function createCatalogTransactions(
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): CatalogTransactions {
  const mutex = new Mutex();

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

  /** Moves the new files of a stored change to their places, before anybody can look for them there. */
  function publishFiles({ put = [] }: CatalogChange, newFiles: readonly string[]): void {
    const used = new Set(put.map(({ file }) => file));
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

  return {
    run: (messagePrefix, decide, newFiles = [], reserve = undefined) =>
      catchStorageErrors(messagePrefix, async () => {
        try {
          return await mutex.runExclusive(async () => {
            const decided = await decide();
            if (!decided.ok) return decided;
            const commit = () => catalog.commit(decided.value, () => publishFiles(decided.value, newFiles));
            await (reserve ? reserve.use(commit) : commit());
            return decided;
          });
        } finally {
          await removeUnusedFiles(newFiles);
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
