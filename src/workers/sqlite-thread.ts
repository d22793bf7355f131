/**
 * The thread of one SQLite file where Node's own SQLite is used: its calls block, so they must not
 * run on the actor's thread. It ends when the file is closed, or with the thread that started it.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type BuiltinDatabase, describeSqliteError, loadBuiltinSqlite } from "./sqlite/builtin-sqlite.js";
import { BUSY_TIMEOUT_MS } from "./sqlite/sqlite.js";
import type { SqliteAnswer, SqliteOrder, SqliteThreadData } from "./sqlite/threaded-sqlite.js";

function openDatabase(path: string): BuiltinDatabase {
  const { DatabaseSync } = loadBuiltinSqlite();
  const database = new DatabaseSync(path, {
    enableForeignKeyConstraints: false,
    enableDoubleQuotedStringLiterals: true,
  });
  database.prepare(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`).all();
  return database;
}

function serve(): void {
  const port = parentPort;
  if (!port) throw new Error("sqlite-thread runs in a thread of its own");
  let database: BuiltinDatabase | undefined;

  function answer({ id, kind, sql, values }: SqliteOrder): SqliteAnswer {
    try {
      database ??= openDatabase((workerData as SqliteThreadData).path);
      if (kind === "open") return { id, rows: [] };
      if (kind === "close") {
        database.close();
        return { id, rows: [] };
      }
      return { id, rows: database.prepare(sql).all(...values) };
    } catch (error) {
      return { id, error: describeSqliteError(error) };
    }
  }

  port.on("message", (order: SqliteOrder) => {
    port.postMessage(answer(order));
    if (order.kind === "close") port.close();
  });
}

serve();
