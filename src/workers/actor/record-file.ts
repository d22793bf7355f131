import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../protocol/storage/names.js";
import type { CompleteImage } from "../../protocol/storage/records.js";
import { bytes } from "../../protocol/storage/units.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { Sqlite, SqlRow } from "../sqlite/sqlite.js";
import { openOwnSqlite } from "../sqlite/sqlite-file.js";

/** A hold of ours on a snapshot, with the tag as in zfs-hold(8). */
export interface HoldRecord {
  readonly name: SnapshotName;
  readonly tag: string;
}

/**
 * The records of a pool's images and holds, in memory and in SQLite. They are an index, and the
 * pool is the truth. So no operation fails because a write fails: the write is logged, and the
 * next start repairs the records.
 */
export interface Records {
  readonly images: ReadonlyMap<string, CompleteImage>;
  putImage(image: CompleteImage): Promise<void>;
  dropImage(id: string): Promise<void>;
  /**
   * When an image was last used, by Date.now(), and never earlier than that: up to COARSE_USE_MS later after a restart,
   * and where no use was recorded, when the daemon first had a record of the image. Undefined: there is no such image.
   */
  lastUse(id: string): number | undefined;
  /** An image is used now. Writes at most once in COARSE_USE_MS. */
  markUsed(id: string): Promise<void>;
  /**
   * Records a hold. To be called before `zfs hold`, so that a restart knows what to release.
   * Fails, unlike the other writes: records.unavailable.
   */
  putHold(hold: HoldRecord): Promise<Outcome<null>>;
  /** Drops the record of the hold with this tag; tags are unique. */
  dropHold(hold: Pick<HoldRecord, "tag">): Promise<void>;
  holds(): Promise<readonly HoldRecord[]>;
  /** The run that has last looked for holds without an owner, and has released all of them. */
  holdsSweptBy(): Promise<string | undefined>;
  markHoldsSwept(runId: string): Promise<void>;
  /** The run of the daemon that has last claimed the pool with these records. */
  lastRun(): Promise<string | undefined>;
  markRun(runId: string): Promise<void>;
  /** Names this daemon to its peers: made once, and the same as long as these records are. */
  nodeId(): Promise<string>;
  /** Whether the database of mistify-agent-image has been imported. */
  importDone(): Promise<boolean>;
  markImportDone(): Promise<void>;
  close(): Promise<void>;
}

/** So seldom the use of an image is written. */
export const COARSE_USE_MS = 60 * 60 * 1_000;

/** Of the tables below. A change of them needs a new version, which must read the files of older ones. */
const VERSION = 1;

const TABLES: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, volume TEXT NOT NULL, snapshot TEXT NOT NULL, bytes TEXT NOT NULL
  ) STRICT`,
  "CREATE TABLE IF NOT EXISTS holds (name TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (name, tag)) STRICT",
];

/** Names of rows in the table of facts. */
const IMPORT_DONE = "original_imported";
const HOLDS_SWEPT_BY = "holds_swept_by";
const LAST_RUN = "last_run";
const NODE_ID = "node_id";
/** And how the names begin of those that tell when an image was used. */
const USED = "used:";

function imageFromRow(row: SqlRow): CompleteImage {
  return {
    id: String(row.id),
    type: String(row.type),
    volume: String(row.volume) as DatasetName,
    snapshot: String(row.snapshot) as SnapshotName,
    size: bytes(BigInt(String(row.bytes))),
    status: "complete",
  };
}

/** Opens the file and reads all images. Rejects with an SQLite error if it is damaged or in use. */
async function openChecked(
  path: string,
): Promise<{ database: Sqlite; rows: readonly SqlRow[]; uses: readonly SqlRow[] }> {
  // NORMAL: a power cut may lose the newest records, which the next start reads from the pool.
  const database = await openOwnSqlite({ path, synchronous: "NORMAL", version: VERSION, tables: TABLES });
  try {
    const rows = await database.all("SELECT * FROM images");
    const uses = await database.all(
      "SELECT name, value FROM facts WHERE name >= ? AND name < ?",
      USED,
      "used;",
    );
    return { database, rows, uses };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * Opens `DIR/POOL.db`, and creates it and its folder if they are missing. A file that SQLite finds
 * damaged is renamed to `POOL.db.damaged-TIME`; the next reconcile then restores the records.
 * Fails: records.unavailable if the folder can't be written or another daemon has the file open.
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

/** In place of mkdir's own `recursive`, which loops where ENOENT never ends, as below /proc. */
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
  let opened: Awaited<ReturnType<typeof openChecked>>;
  try {
    opened = await openChecked(path);
  } catch (error) {
    const code = codeOf(error);
    if (code !== "SQLITE_NOTADB" && code !== "SQLITE_CORRUPT") throw error;
    const damagedPath = `${path}.damaged-${Date.now()}`;
    renameSync(path, damagedPath);
    log.warn("the record file is damaged; put aside, records come back from the pool", {
      path,
      aside: damagedPath,
    });
    opened = await openChecked(path);
  }
  const { database } = opened;
  const images = new Map<string, CompleteImage>(
    opened.rows.map((row) => [String(row.id), imageFromRow(row)]),
  );

  /** Writes a row. Never rejects: a failure is logged. */
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

  const putFact = (name: string, value: string) =>
    write(name, "INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value);

  async function fact(name: string): Promise<string | undefined> {
    const [row] = await database.all("SELECT value FROM facts WHERE name = ?", name);
    return row === undefined ? undefined : String(row.value);
  }

  /** By id: when it was used, as far as is known, and what of that is in the file. */
  const uses = new Map<string, { readonly at: number; readonly written: number }>();
  for (const { name, value } of opened.uses) {
    const written = Number(value);
    uses.set(String(name).slice(USED.length), { at: written + COARSE_USE_MS, written });
  }

  async function markUsed(id: string): Promise<void> {
    const at = Date.now();
    const written = uses.get(id)?.written ?? 0;
    const isDue = Math.abs(at - written) >= COARSE_USE_MS;
    uses.set(id, { at, written: isDue ? at : written });
    if (isDue) await putFact(USED + id, String(at));
  }

  // Those of an imagestore that knew no uses.
  for (const id of images.keys()) if (!uses.has(id)) await markUsed(id);

  return {
    images,
    lastUse: (id) => (images.has(id) ? uses.get(id)?.at : undefined),
    markUsed: async (id) => {
      if (images.has(id)) await markUsed(id);
    },
    async putImage(image) {
      const isNew = !images.has(image.id);
      images.set(image.id, image);
      if (isNew) await markUsed(image.id);
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
      uses.delete(id);
      await write(`image ${id}`, "DELETE FROM images WHERE id = ?", id);
      await write(`use of image ${id}`, "DELETE FROM facts WHERE name = ?", USED + id);
    },
    async putHold({ name, tag }) {
      try {
        await database.run("INSERT OR IGNORE INTO holds VALUES (?, ?)", name, tag);
        return succeed(null);
      } catch (error) {
        const why = messageOf(error);
        return fail("records.unavailable", `the hold of a download of ${name} can't be recorded: ${why}`);
      }
    },
    dropHold: ({ tag }) => write(`hold ${tag}`, "DELETE FROM holds WHERE tag = ?", tag),
    async holds() {
      const rows = await database.all("SELECT name, tag FROM holds");
      return rows.map((row) => ({ name: String(row.name) as SnapshotName, tag: String(row.tag) }));
    },
    holdsSweptBy: () => fact(HOLDS_SWEPT_BY),
    markHoldsSwept: (runId) => putFact(HOLDS_SWEPT_BY, runId),
    lastRun: () => fact(LAST_RUN),
    markRun: (runId) => putFact(LAST_RUN, runId),
    async nodeId() {
      const known = await fact(NODE_ID);
      if (known !== undefined) return known;
      const made = randomBytes(8).toString("hex");
      await putFact(NODE_ID, made);
      return made;
    },
    importDone: async () => (await fact(IMPORT_DONE)) !== undefined,
    markImportDone: () => putFact(IMPORT_DONE, new Date().toISOString()),
    close: () => database.close(),
  };
}
