import { BUSY_TIMEOUT_MS, type Sqlite, type SqlRow, type SqlValue } from "./sqlite.js";

type Done = (error: Error | null) => void;

interface AddonDatabase {
  serialize(): void;
  configure(option: "busyTimeout", ms: number): void;
  run(sql: string, values: readonly SqlValue[], done: Done): void;
  all(sql: string, values: readonly SqlValue[], done: (error: Error | null, rows: SqlRow[]) => void): void;
  close(done: Done): void;
}

/** What is used of the package sqlite3. Where it isn't installed, its own types are missing too. */
export interface SqliteAddon {
  /** Of the library, as `3.45.1`. */
  readonly VERSION: string;
  readonly OPEN_READWRITE: number;
  readonly OPEN_CREATE: number;
  readonly Database: new (path: string, mode: number, done: Done) => AddonDatabase;
}

/** Opens a file, or creates it, with the npm package sqlite3, whose statements run on threads of its own. */
export async function openWithAddon(addon: SqliteAddon, path: string): Promise<Sqlite> {
  const mode = addon.OPEN_READWRITE | addon.OPEN_CREATE;
  const database = await new Promise<AddonDatabase>((resolve, reject) => {
    const opening = new addon.Database(path, mode, (error) => (error ? reject(error) : resolve(opening)));
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
        database.all(sql, values, (error, rows) => (error ? reject(error) : resolve(rows)));
      }),
    close: () =>
      new Promise((resolve, reject) => {
        database.close((error) => (error ? reject(error) : resolve()));
      }),
  };
}
