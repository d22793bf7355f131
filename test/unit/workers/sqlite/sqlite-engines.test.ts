import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openWithAddon, type SqliteAddon } from "../../../../src/workers/sqlite/addon-sqlite.js";
import type { Sqlite } from "../../../../src/workers/sqlite/sqlite.js";
import { compiled } from "../../../support/in-process.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const freshPath = (() => {
  let number = 0;
  return () => join(folder, `${++number}.db`);
})();

type ThreadedModule = typeof import("../../../../src/workers/sqlite/threaded-sqlite.js");
/** A thread runs a compiled file. */
const openOnThread = async (path: string) =>
  (await compiled<ThreadedModule>("workers/sqlite/threaded-sqlite.js")).openOnThread(path);

const hasBuiltin = isBuiltin("node:sqlite");
if (!hasBuiltin) console.log(`not tried: the SQLite of Node, since Node ${process.versions.node} has none`);

interface Engine {
  readonly name: string;
  open(path: string): Promise<Sqlite>;
}
/** Undefined where the package has no binary. */
function loadAddon(): SqliteAddon | undefined {
  try {
    return createRequire(import.meta.url)("sqlite3");
  } catch (error) {
    console.log(`not tried: the package sqlite3: ${error}`);
    return undefined;
  }
}
const addon = loadAddon();
const ADDON: Engine | undefined = addon && {
  name: "the package sqlite3",
  open: (path) => openWithAddon(addon, path),
};
const BUILTIN: Engine = { name: "the SQLite of Node", open: openOnThread };
const engines = [...(ADDON ? [ADDON] : []), ...(hasBuiltin ? [BUILTIN] : [])];

const TABLE = "CREATE TABLE t (name TEXT PRIMARY KEY, number INTEGER) STRICT";

describe.each(engines)("$name", ({ open }) => {
  test("reads what it wrote, null and large numbers too", async () => {
    const database = await open(freshPath());
    await database.run(TABLE);
    await database.run("INSERT INTO t VALUES (?, ?)", "a'\"é😀", Number.MAX_SAFE_INTEGER);
    await database.run("INSERT INTO t VALUES (?, ?)", "b", null);
    expect(await database.all("SELECT * FROM t ORDER BY name")).toEqual([
      { name: "a'\"é😀", number: Number.MAX_SAFE_INTEGER },
      { name: "b", number: null },
    ]);
    expect(await database.all("SELECT number FROM t WHERE name = ?", "c")).toEqual([]);
    await database.close();
  });

  test("runs statements in the order of the calls, without a wait between them", async () => {
    const database = await open(freshPath());
    const calls = [database.run(TABLE), database.run("BEGIN")];
    for (let number = 0; number < 200; number++)
      calls.push(database.run("INSERT INTO t VALUES (?, ?)", `row ${number}`, number));
    calls.push(database.run("DELETE FROM t WHERE number % 2 = 0"), database.run("COMMIT"));
    const rows = database.all("SELECT count(*) AS count FROM t");
    const closed = database.close();
    await Promise.all(calls);
    expect(await rows).toEqual([{ count: 100 }]);
    await closed;
  });

  test("a statement that fails has SQLite's code, and the next ones run", async () => {
    const database = await open(freshPath());
    await database.run(TABLE);
    await database.run("INSERT INTO t VALUES ('a', 1)");
    const twice = database.run("INSERT INTO t VALUES ('a', 2)");
    await expect(twice).rejects.toMatchObject({
      code: "SQLITE_CONSTRAINT",
      message: "SQLITE_CONSTRAINT: UNIQUE constraint failed: t.name",
    });
    await expect(database.all("SELECT nothing FROM t")).rejects.toMatchObject({ code: "SQLITE_ERROR" });
    expect(await database.all("SELECT number FROM t")).toEqual([{ number: 1 }]);
    await database.close();
  });

  test("a file that is none of SQLite's is SQLITE_NOTADB, and a folder can't be opened", async () => {
    const path = freshPath();
    writeFileSync(path, "x".repeat(8192));
    const database = await open(path);
    await expect(database.all("PRAGMA user_version")).rejects.toMatchObject({ code: "SQLITE_NOTADB" });
    await database.close();
    await expect(open(folder)).rejects.toMatchObject({ code: "SQLITE_CANTOPEN" });
  });

  test("waits for a lock, and then says SQLITE_BUSY", async () => {
    const path = freshPath();
    const holder = await open(path);
    await holder.run(TABLE);
    await holder.run("BEGIN EXCLUSIVE");
    const other = await open(path);
    const refused = other.run("INSERT INTO t VALUES ('a', 1)");
    await expect(refused).rejects.toMatchObject({ code: "SQLITE_BUSY" });
    const waits = other.run("INSERT INTO t VALUES ('a', 1)");
    await holder.run("COMMIT");
    await waits;
    await Promise.all([holder.close(), other.close()]);
  });

  test("copies itself by VACUUM INTO, and refuses statements after its close", async () => {
    const database = await open(freshPath());
    await database.run(TABLE);
    await database.run("PRAGMA user_version = 7");
    const copy = freshPath();
    await database.run("VACUUM INTO ?", copy);
    await database.close();
    await expect(database.all("SELECT 1")).rejects.toMatchObject({ code: "SQLITE_MISUSE" });
    const copied = await open(copy);
    expect(await copied.all("PRAGMA user_version")).toEqual([{ user_version: 7 }]);
    await copied.close();
  });
});

/** Each that writes with each that reads, where both are here. */
const pairs = ADDON && hasBuiltin ? [[ADDON, BUILTIN] as const, [BUILTIN, ADDON] as const] : [];

describe.skipIf(!hasBuiltin)("both", () => {
  test.each(pairs)("$name writes what the other reads, its journal too", async (writer, reader) => {
    const path = freshPath();
    const written = await writer.open(path);
    await written.run("PRAGMA journal_mode = WAL");
    await written.run(TABLE);
    await written.run("INSERT INTO t VALUES ('a', 1)");
    // The journal has the row: the writer is still open.
    const read = await reader.open(path);
    expect(await read.all("SELECT * FROM t")).toEqual([{ name: "a", number: 1 }]);
    await read.close();
    await written.close();
  });

  test("the thread blocks alone: a long statement of it delays nobody else", async () => {
    const database = await BUILTIN.open(freshPath());
    let isDone = false;
    const sum =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT sum(i) AS sum FROM n";
    const long = database.all(sum).then((rows) => {
      isDone = true;
      return rows;
    });
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).toBe(false);
    expect(await long).toEqual([{ sum: 4_500_001_500_000 }]);
    await database.close();
  });
});
