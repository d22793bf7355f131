import type { SqlRow, SqlValue } from "../../src/workers/sqlite/sqlite.js";
import { compiled } from "./in-process.js";

type OpenModule = typeof import("../../src/workers/sqlite/open-sqlite.js");

/** Runs a statement on a SQLite file, with what the daemon would open it with. @returns its rows. */
export async function sql(
  path: string,
  statement: string,
  ...values: SqlValue[]
): Promise<readonly SqlRow[]> {
  // Compiled, for Node's own SQLite runs on a thread.
  const { openSqlite } = await compiled<OpenModule>("workers/sqlite/open-sqlite.js");
  const database = await openSqlite(path);
  try {
    return await database.all(statement, ...values);
  } finally {
    await database.close();
  }
}
