import sqlite3 from "sqlite3";

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** A SQLite file as promises; statements run one after the other. */
export interface Sqlite {
  run(sql: string, ...values: SqlValue[]): Promise<void>;
  all(sql: string, ...values: SqlValue[]): Promise<readonly SqlRow[]>;
  close(): Promise<void>;
}

/** A crashed thread's connection may need a moment to be closed. */
const BUSY_TIMEOUT_MS = 2_000;

/** Opens a file, or makes it. Rejects with sqlite3's error. */
export async function openSqlite(path: string): Promise<Sqlite> {
  const mode = sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE;
  const database = await new Promise<sqlite3.Database>((resolve, reject) => {
    const opening = new sqlite3.Database(path, mode, (error) => (error ? reject(error) : resolve(opening)));
  });
  database.serialize();
  database.configure("busyTimeout", BUSY_TIMEOUT_MS);
  return {
    run: (sql, ...values) =>
      new Promise((resolve, reject) => {
        database.run(sql, values, (error) => (error ? reject(error) : resolve()));
      }),
    all: (sql, ...values) =>
      new Promise((resolve, reject) => {
        database.all<SqlRow>(sql, values, (error, rows) => (error ? reject(error) : resolve(rows)));
      }),
    close: () =>
      new Promise((resolve, reject) => {
        database.close((error) => (error ? reject(error) : resolve()));
      }),
  };
}

/**
 * Opens a file of ours for this process alone, with its tables: a second process is refused
 * (SQLITE_BUSY) before it can touch what the first has under way. `synchronous` FULL: what
 * was answered outlasts a power cut; NORMAL: the last writes may be lost by one.
 */
export async function openOwnSqlite(
  path: string,
  synchronous: "FULL" | "NORMAL",
  tables: readonly string[],
): Promise<Sqlite> {
  const database = await openSqlite(path);
  const statements = [
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    `PRAGMA synchronous = ${synchronous}`,
    ...tables,
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    // Only a write takes the exclusive lock.
    "INSERT OR REPLACE INTO facts VALUES ('opened', datetime('now'))",
  ];
  try {
    for (const statement of statements) await database.run(statement);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}
