import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../protocol/storage/names.js";
import type { CompleteImage } from "../../protocol/storage/records.js";
import { bytes } from "../../protocol/storage/units.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import { openOwnSqlite, type Sqlite, type SqlRow } from "../sqlite/sqlite-file.js";

export interface HoldRecord {
  readonly name: SnapshotName;
  readonly tag: string;
}

/**
 * The image records of a pool, in memory and written through to SQLite. They are an
 * index: the pool is the truth, so a write that fails is reported and made good at
 * the next start, never a reason to refuse what the pool has already done.
 */
export interface Records {
  readonly images: ReadonlyMap<string, CompleteImage>;
  /** The file did not exist (or could not be read and was put aside). */
  readonly isNew: boolean;
  putImage(image: CompleteImage): Promise<void>;
  dropImage(id: string): Promise<void>;
  /** Remembers a hold before it is taken, so that a restart knows what to release. */
  putHold(hold: HoldRecord): Promise<void>;
  dropHold(hold: HoldRecord): Promise<void>;
  holds(): Promise<readonly HoldRecord[]>;
  /** The original's database has been read. */
  importDone(): Promise<boolean>;
  markImportDone(): Promise<void>;
  close(): Promise<void>;
}

const TABLES: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, volume TEXT NOT NULL, snapshot TEXT NOT NULL, bytes TEXT NOT NULL
  ) STRICT`,
  "CREATE TABLE IF NOT EXISTS holds (name TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (name, tag)) STRICT",
];

const IMPORT_DONE = "original_imported";

function imageOf(row: SqlRow): CompleteImage {
  return {
    id: String(row.id),
    type: String(row.type),
    volume: String(row.volume) as DatasetName,
    snapshot: String(row.snapshot) as SnapshotName,
    size: bytes(BigInt(String(row.bytes))),
    status: "complete",
  };
}

async function openChecked(path: string): Promise<{ database: Sqlite; rows: readonly SqlRow[] }> {
  // A power cut may lose the last records, which the pool gives back.
  const database = await openOwnSqlite(path, "NORMAL", TABLES);
  try {
    return { database, rows: await database.all("SELECT * FROM images") };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * Opens `DIR/POOL.db`. A file that SQLite calls damaged is put aside as
 * `POOL.db.damaged-TIME`; the records then come back from the pool.
 * Fails: records.unavailable when the folder can't be written or another daemon has the file.
 */
export async function openRecords(dir: string, pool: PoolName, log: ActorLog): Promise<Outcome<Records>> {
  const path = join(dir, `${pool}.db`);
  try {
    ensureFolder(dir);
    return succeed(await openFile(path, log));
  } catch (error) {
    const isInUse = codeOf(error) === "SQLITE_BUSY";
    const why = isInUse ? "another imagestore has it open; one daemon serves a pool" : messageOf(error);
    return fail("records.unavailable", `the records of pool ${pool} can't be opened: ${why}`, path);
  }
}

/** Not mkdir's own `recursive`, which never returns where ENOENT stays, as below /proc. */
function ensureFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o750 });
  } catch (error) {
    const code = codeOf(error);
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    ensureFolder(dirname(path));
    mkdirSync(path, { mode: 0o750 });
  }
}

async function openFile(path: string, log: ActorLog): Promise<Records> {
  let isNew = !existsSync(path);
  let opened: Awaited<ReturnType<typeof openChecked>>;
  try {
    opened = await openChecked(path);
  } catch (error) {
    const code = codeOf(error);
    if (code !== "SQLITE_NOTADB" && code !== "SQLITE_CORRUPT") throw error;
    const aside = `${path}.damaged-${Date.now()}`;
    renameSync(path, aside);
    log.warn("the record file is damaged; put aside, records come back from the pool", { path, aside });
    isNew = true;
    opened = await openChecked(path);
  }
  const { database } = opened;
  const images = new Map<string, CompleteImage>(opened.rows.map((row) => [String(row.id), imageOf(row)]));

  async function write(what: string, sql: string, ...values: string[]): Promise<void> {
    try {
      await database.run(sql, ...values);
    } catch (error) {
      log.error("a record could not be written; the next start reads it from the pool", {
        what,
        path,
        error: String(error),
      });
    }
  }

  return {
    images,
    isNew,
    async putImage(image) {
      images.set(image.id, image);
      await write(
        `image ${image.id}`,
        "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
        image.id,
        image.type,
        image.volume,
        image.snapshot,
        String(image.size),
      );
    },
    async dropImage(id) {
      images.delete(id);
      await write(`image ${id}`, "DELETE FROM images WHERE id = ?", id);
    },
    putHold: ({ name, tag }) => write(`hold ${tag}`, "INSERT OR IGNORE INTO holds VALUES (?, ?)", name, tag),
    dropHold: ({ name, tag }) =>
      write(`hold ${tag}`, "DELETE FROM holds WHERE name = ? AND tag = ?", name, tag),
    async holds() {
      const rows = await database.all("SELECT name, tag FROM holds");
      return rows.map((row) => ({ name: String(row.name) as SnapshotName, tag: String(row.tag) }));
    },
    async importDone() {
      return (await database.all("SELECT 1 FROM facts WHERE name = ?", IMPORT_DONE)).length > 0;
    },
    markImportDone: () =>
      write("import", "INSERT OR REPLACE INTO facts VALUES (?, ?)", IMPORT_DONE, new Date().toISOString()),
    close: () => database.close(),
  };
}
