import { chmod, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Mutex } from "async-mutex";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Sqlite } from "../../sqlite/sqlite.js";

/**
 * How long a commit may be in the journal `-wal` alone. Whoever loses that file then loses no
 * more than this. Each such move to the file itself costs some syncs, so not every commit makes one.
 */
const CHECKPOINT_AFTER_MS = 250;
/** How long a commit may be missing from the backup while the pool is open. A close writes it too. */
const BACKUP_AFTER_MS = 60_000;

/** Keeps the loss small if the catalog's file or its journal is damaged. */
export interface CatalogUpkeep {
  /** To be called after every commit. */
  committed(): void;
  /** Writes the backup unless it has every commit. To be called before the database is closed. Never rejects. */
  end(): Promise<void>;
}

export interface UpkeepOptions {
  readonly database: Sqlite;
  /** The path of the backup, which is replaced as a whole. */
  readonly backup: string;
  /** Taken for each step of upkeep: none of them may run within a transaction. */
  readonly turns: Mutex;
  readonly log: ActorLog;
}

export function createCatalogUpkeep({ database, backup, turns, log }: UpkeepOptions): CatalogUpkeep {
  /** Set while a checkpoint is due; undefined when the file has every commit, or one is being made. */
  let checkpointTimer: NodeJS.Timeout | undefined;
  /** Set while a backup is due; undefined when the backup has every commit, or one is being made. */
  let backupTimer: NodeJS.Timeout | undefined;

  async function checkpoint(): Promise<void> {
    checkpointTimer = undefined;
    await database.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /** SQLite writes a whole, consistent file; only then it takes the place of the one before. */
  async function writeBackup(): Promise<void> {
    backupTimer = undefined;
    const fresh = `${backup}.new`;
    await rm(fresh, { force: true });
    try {
      await database.run("VACUUM INTO ?", fresh);
      await chmod(fresh, 0o600);
      await sync(fresh);
      await rename(fresh, backup);
    } catch (error) {
      // On a full disk it would be what fills it.
      await rm(fresh, { force: true });
      throw error;
    }
    await sync(dirname(backup));
  }

  function attempt(what: string, work: () => Promise<void>): Promise<void> {
    return turns.runExclusive(work).catch((error: unknown) => {
      log.warn(`${what}; the next change tries again`, { error: String(error) });
    });
  }

  return {
    committed() {
      checkpointTimer ??= setTimeout(
        () => void attempt("the catalog's journal could not be emptied", checkpoint),
        CHECKPOINT_AFTER_MS,
      ).unref();
      backupTimer ??= setTimeout(
        () => void attempt("the catalog could not be backed up", writeBackup),
        BACKUP_AFTER_MS,
      ).unref();
    },
    async end() {
      const isBackupDue = backupTimer !== undefined;
      clearTimeout(checkpointTimer);
      clearTimeout(backupTimer);
      // Closing the database empties the journal.
      await attempt("the catalog could not be backed up", async () => {
        if (isBackupDue) await writeBackup();
      });
    },
  };
}
