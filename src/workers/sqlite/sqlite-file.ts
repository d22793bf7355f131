import { chmod, open } from "node:fs/promises";
import { codeOf } from "../../protocol/storage/caught-error.js";
import { openSqlite } from "./open-sqlite.js";
import type { Sqlite } from "./sqlite.js";

/** A file that belongs to this daemon. */
export interface OwnSqliteFile {
  readonly path: string;
  /** With FULL every write that resolved survives a power cut; with NORMAL the last ones may be lost. */
  readonly synchronous: "FULL" | "NORMAL";
  /** The version of its tables, as `user_version` in the file. Files from before versions have 0. */
  readonly version: number;
  /** Statements that create the tables of this version where they are missing. */
  readonly tables: readonly string[];
}

/** Only the daemon's user may read what it keeps. SQLite gives the mode of a file to its journal too. */
const FILE_MODE = 0o600;

/** A file whose tables are of a version that this program does not know. Its code is one of SQLite's. */
class NewerSqliteFile extends Error {
  override readonly name = "NewerSqliteFile";
  readonly code = "SQLITE_FORMAT";
}

/**
 * Creates the file unless it is there, and lets nobody else read it, whatever the umask. An
 * existing file is not opened: closing it would end the locks that this process has on it.
 */
async function ensurePrivateFile(path: string): Promise<void> {
  try {
    await using _created = await open(path, "wx", FILE_MODE);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  await chmod(path, FILE_MODE);
}

/** @returns the version of the file. */
async function checkVersion(database: Sqlite, { path, version }: OwnSqliteFile): Promise<number> {
  const [row] = await database.all("PRAGMA user_version");
  const found = Number(row?.user_version);
  if (found <= version) return found;
  throw new NewerSqliteFile(
    `${path} was written by a newer imagestore: its version is ${found}, and this program knows versions up to ${version}. Use the newer program. If none ever ran here, the file is damaged`,
  );
}

/**
 * Opens a file that belongs to this daemon, locks it, and creates the tables that it lacks.
 * While it is open, a second process that opens it so is refused with SQLITE_BUSY, before it
 * can change anything. A file of a newer version is refused with SQLITE_FORMAT, unchanged; one
 * of an older version gets the new tables and the new version in one step.
 */
export async function openOwnSqlite(file: OwnSqliteFile): Promise<Sqlite> {
  await ensurePrivateFile(file.path);
  const database = await openSqlite(file.path);
  const settings = ["PRAGMA journal_mode = WAL", `PRAGMA synchronous = ${file.synchronous}`];
  const changes = [
    "BEGIN IMMEDIATE",
    ...file.tables,
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    `PRAGMA user_version = ${file.version}`,
    // The exclusive lock is taken by the first write and then kept, so write at once.
    "INSERT OR REPLACE INTO facts VALUES ('opened', datetime('now'))",
    "COMMIT",
  ];
  try {
    await database.run("PRAGMA locking_mode = EXCLUSIVE");
    const found = await checkVersion(database, file);
    for (const statement of settings) await database.run(statement);
    try {
      for (const statement of changes) await database.run(statement);
    } catch (error) {
      // A full disk. The tables are there and the lock is taken, so what is there can be read and removed.
      if (codeOf(error) !== "SQLITE_FULL" || found !== file.version) throw error;
      await database.run("ROLLBACK").catch(() => {});
    }
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}
