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
