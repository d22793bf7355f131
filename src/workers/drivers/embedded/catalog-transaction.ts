import { Mutex } from "async-mutex";
import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Catalog, Change, Entry } from "./catalog.js";
import { attempt } from "./storage-errors.js";
import type { VolumeFiles } from "./volume-files.js";

/** Makes changes of an embedded pool, one at a time: each is decided on what the one before has made. */
export interface Commits {
  /**
   * Decides and commits. Of the files `made` for it, those that nobody uses afterwards are
   * removed, because it was refused or failed. `what` begins the message of a failure.
   */
  change(
    what: string,
    decide: () => Outcome<Change> | Promise<Outcome<Change>>,
    made?: readonly string[],
  ): Promise<Outcome<null>>;
  /** Removes files, but for those in use. */
  removeUnused(files: readonly string[]): Promise<void>;
  /** After datasets are gone: their links, and the files that nobody else uses. */
  clearAway(gone: readonly Entry[]): Promise<void>;
}

export function createCommits(catalog: Catalog, files: VolumeFiles, log: ActorLog): Commits {
  const commits = new Mutex();

  function change(
    what: string,
    decide: () => Outcome<Change> | Promise<Outcome<Change>>,
    made: readonly string[] = [],
  ): Promise<Outcome<null>> {
    return attempt(what, async () => {
      try {
        return await commits.runExclusive(async () => {
          const decided = await decide();
          if (!decided.ok) return decided;
          await catalog.commit(decided.value);
          return succeed(null);
        });
      } finally {
        await removeUnused(made);
      }
    });
  }

  async function removeUnused(unused: readonly string[]): Promise<void> {
    for (const file of unused) {
      if (file === "" || catalog.uses(file)) continue;
      await files.remove(file).catch((error: unknown) => {
        log.warn("a file could not be removed; the next start tries again", { file, error: String(error) });
      });
    }
  }

  async function clearAway(gone: readonly Entry[]): Promise<void> {
    for (const { name, type } of gone) if (type === "volume") await files.unlink(name as DatasetName);
    await removeUnused(gone.map(({ file }) => file));
  }

  return { change, removeUnused, clearAway };
}
