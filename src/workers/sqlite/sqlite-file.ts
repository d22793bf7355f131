import sqlite3 from "sqlite3";

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** An open SQLite file. Statements run one after the other, in the order of the calls; each rejects with its error. */
export interface Sqlite {
  run(sql: string, ...values: SqlValue[]): Promise<void>;
  all(sql: string, ...values: SqlValue[]): Promise<readonly SqlRow[]>;
  close(): Promise<void>;
}

/** How long to wait for a lock: the connection of a crashed thread may need a moment to close. */
const BUSY_TIMEOUT_MS = 2_000;

/** Opens a file, or creates it. Rejects with the error of sqlite3. */
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
 * Opens a file that belongs to this daemon, locks it, and creates the tables that it lacks.
 * While it is open, a second process that opens it so is refused with SQLITE_BUSY, before it
 * can change anything. `synchronous`: with FULL every write that resolved survives a power cut;
 * with NORMAL the last ones may be lost.
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
    // The exclusive lock is taken by the first write and then kept, so write at once.
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
