import type sqlite3 from "sqlite3";
import { BUSY_TIMEOUT_MS, type Sqlite, type SqlRow } from "./sqlite.js";

/** Opens a file, or creates it, with the npm package sqlite3, whose statements run on threads of its own. */
export async function openWithAddon(addon: typeof sqlite3, path: string): Promise<Sqlite> {
  const mode = addon.OPEN_READWRITE | addon.OPEN_CREATE;
  const database = await new Promise<sqlite3.Database>((resolve, reject) => {
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
        database.all<SqlRow>(sql, values, (error, rows) => (error ? reject(error) : resolve(rows)));
      }),
    close: () =>
      new Promise((resolve, reject) => {
        database.close((error) => (error ? reject(error) : resolve()));
      }),
  };
}
