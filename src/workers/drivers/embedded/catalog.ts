import type { SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import { openOwnSqlite, type Sqlite, type SqlRow, type SqlValue } from "../../sqlite/sqlite-file.js";
import type { AnyName, Properties } from "../driver.js";

/** A dataset of an embedded pool. */
export interface Entry {
  /** Tells it from all others of the pool, for ever; a guid may come twice, by receiving one stream twice. */
  readonly id: number;
  readonly name: AnyName;
  readonly type: "filesystem" | "volume" | "snapshot";
  readonly guid: string;
  readonly createtxg: bigint;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly volsize: Bytes;
  /** Bytes; 0 for what is no volume. */
  readonly volblocksize: number;
  readonly written: Bytes;
  /** The file below `volumes/` that holds the data; "" for filesystems and their snapshots. */
  readonly file: string;
  /** What a snapshot's file takes; a volume's own file changes with every write. */
  readonly held: Bytes;
  /** A thick volume: the room up to volsize is kept for it. */
  readonly reserved: boolean;
  readonly readonly: boolean;
  /** The id of the snapshot that it is a clone of. */
  readonly origin: number | undefined;
  readonly properties: Properties;
}

export interface Hold {
  readonly id: number;
  readonly tag: string;
}

/** What changes at once or not at all. */
export interface Change {
  readonly put?: readonly Entry[];
  readonly drop?: readonly Entry[];
  readonly hold?: Hold;
  readonly release?: Hold;
}

/**
 * The datasets of a pool, in memory and written through to SQLite. A change is on
 * the disk when `commit` resolves, and whole or not there after a crash.
 */
export interface Catalog {
  get(name: string): Entry | undefined;
  withId(id: number): Entry | undefined;
  /** Everything, in no order. */
  entries(): Iterable<Entry>;
  /** `root`, its snapshots, and everything below it, in the order of their names. */
  within(root: string): Entry[];
  /** Snapshots of one dataset, oldest first. */
  snapshotsOf(dataset: string): Entry[];
  clonesOf(id: number): Entry[];
  holdsOf(id: number): ReadonlySet<string>;
  /** Whether a dataset has its data in this file. */
  uses(file: string): boolean;
  /** An id and a transaction number that nobody has had. */
  nextId(): number;
  nextTxg(): bigint;
  /** Rejects with SQLite's error, nothing changed. One at a time. */
  commit(change: Change): Promise<void>;
  close(): Promise<void>;
}

const TABLES = [
  `CREATE TABLE IF NOT EXISTS datasets (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL, guid TEXT NOT NULL,
    createtxg INTEGER NOT NULL, created INTEGER NOT NULL, volsize TEXT NOT NULL, volblocksize INTEGER NOT NULL,
    written TEXT NOT NULL, file TEXT NOT NULL, held TEXT NOT NULL, reserved INTEGER NOT NULL,
    readonly INTEGER NOT NULL, origin INTEGER, properties TEXT NOT NULL
  ) STRICT`,
  "CREATE TABLE IF NOT EXISTS holds (id INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (id, tag)) STRICT",
];

function entryOf(row: SqlRow): Entry {
  return {
    id: Number(row.id),
    name: String(row.name) as AnyName,
    type: String(row.type) as Entry["type"],
    guid: String(row.guid),
    createtxg: BigInt(Number(row.createtxg)),
    created: Number(row.created),
    volsize: bytes(BigInt(String(row.volsize))),
    volblocksize: Number(row.volblocksize),
    written: bytes(BigInt(String(row.written))),
    file: String(row.file),
    held: bytes(BigInt(String(row.held))),
    reserved: row.reserved === 1,
    readonly: row.readonly === 1,
    origin: row.origin === null ? undefined : Number(row.origin),
    properties: JSON.parse(String(row.properties)) as Properties,
  };
}

function valuesOf(entry: Entry): SqlValue[] {
  return [
    entry.id,
    entry.name,
    entry.type,
    entry.guid,
    Number(entry.createtxg),
    entry.created,
    String(entry.volsize),
    entry.volblocksize,
    String(entry.written),
    entry.file,
    String(entry.held),
    Number(entry.reserved),
    Number(entry.readonly),
    entry.origin ?? null,
    JSON.stringify(entry.properties),
  ];
}

const PUT = `INSERT OR REPLACE INTO datasets VALUES (${Array.from({ length: 15 }, () => "?").join(", ")})`;

/** "/" sorts before every other character and "@" next, so that a dataset's own come before its neighbours. */
function sortKey(name: string): string {
  return name.replaceAll("/", "\u0001").replaceAll("@", "\u0000");
}

export function byName(a: Entry, b: Entry): number {
  return sortKey(a.name) < sortKey(b.name) ? -1 : 1;
}

function parentOf(name: string): string {
  const tag = name.indexOf("@");
  return tag < 0 ? name.slice(0, Math.max(name.lastIndexOf("/"), 0)) : name.slice(0, tag);
}

/** The indexes over the entries that make each question cost what its answer costs. */
function createIndex() {
  const byNames = new Map<string, Entry>();
  const byIds = new Map<number, Entry>();
  const children = new Map<string, Set<Entry>>();
  const clones = new Map<number, Set<Entry>>();
  const files = new Map<string, number>();

  function file<Key>(index: Map<Key, Set<Entry>>, key: Key, entry: Entry): void {
    const set = index.get(key) ?? new Set();
    index.set(key, set.add(entry));
  }
  function unfile<Key>(index: Map<Key, Set<Entry>>, key: Key, entry: Entry): void {
    const set = index.get(key);
    set?.delete(entry);
    if (set?.size === 0) index.delete(key);
  }

  return {
    byNames,
    byIds,
    children,
    clones,
    files,
    add(entry: Entry): void {
      byNames.set(entry.name, entry);
      byIds.set(entry.id, entry);
      file(children, parentOf(entry.name), entry);
      if (entry.origin !== undefined) file(clones, entry.origin, entry);
      if (entry.file !== "") files.set(entry.file, (files.get(entry.file) ?? 0) + 1);
    },
    remove(entry: Entry): void {
      byNames.delete(entry.name);
      byIds.delete(entry.id);
      unfile(children, parentOf(entry.name), entry);
      if (entry.origin !== undefined) unfile(clones, entry.origin, entry);
      const users = (files.get(entry.file) ?? 1) - 1;
      if (users > 0) files.set(entry.file, users);
      else files.delete(entry.file);
    },
  };
}

/** Opens the catalog in the file `path`, or makes an empty one. Rejects with SQLite's error. */
export async function openCatalog(path: string): Promise<Catalog> {
  // The pool is the truth: what was answered must outlast a power cut.
  const database = await openOwnSqlite(path, "FULL", TABLES);
  try {
    const rows = await database.all("SELECT * FROM datasets");
    const holds = await database.all("SELECT id, tag FROM holds");
    return createCatalog(database, rows.map(entryOf), holds);
  } catch (error) {
    await database.close();
    throw error;
  }
}

function createCatalog(database: Sqlite, stored: readonly Entry[], storedHolds: readonly SqlRow[]): Catalog {
  const index = createIndex();
  const holds = new Map<number, Set<string>>();
  let lastId = 0;
  let lastTxg = 0n;
  for (const entry of stored) {
    index.add(entry);
    lastId = Math.max(lastId, entry.id);
    if (entry.createtxg > lastTxg) lastTxg = entry.createtxg;
  }
  for (const { id, tag } of storedHolds) remember({ id: Number(id), tag: String(tag) });

  function remember({ id, tag }: Hold): void {
    const tags = holds.get(id) ?? new Set();
    holds.set(id, tags.add(tag));
  }

  /** The same change in memory, once it is on the disk. */
  function apply({ put = [], drop = [], hold, release }: Change): void {
    for (const entry of drop) {
      index.remove(entry);
      holds.delete(entry.id);
    }
    for (const entry of put) {
      const before = index.byIds.get(entry.id);
      if (before) index.remove(before);
    }
    for (const entry of put) index.add(entry);
    if (hold) remember(hold);
    if (release) holds.get(release.id)?.delete(release.tag);
  }

  async function write({ put = [], drop = [], hold, release }: Change): Promise<void> {
    for (const { id } of drop) {
      await database.run("DELETE FROM datasets WHERE id = ?", id);
      await database.run("DELETE FROM holds WHERE id = ?", id);
    }
    for (const entry of put) await database.run(PUT, ...valuesOf(entry));
    if (hold) await database.run("INSERT INTO holds VALUES (?, ?)", hold.id, hold.tag);
    if (release) await database.run("DELETE FROM holds WHERE id = ? AND tag = ?", release.id, release.tag);
  }

  const catalog: Catalog = {
    get: (name) => index.byNames.get(name),
    withId: (id) => index.byIds.get(id),
    entries: () => index.byIds.values(),
    within: (root) => {
      const found: Entry[] = [];
      const visit = (entry: Entry) => {
        found.push(entry);
        for (const child of index.children.get(entry.name) ?? []) visit(child);
      };
      const entry = index.byNames.get(root);
      if (entry) visit(entry);
      return found.sort(byName);
    },
    snapshotsOf: (dataset) =>
      [...(index.children.get(dataset) ?? [])]
        .filter(({ type }) => type === "snapshot")
        .sort((a, b) => (a.createtxg < b.createtxg ? -1 : 1)),
    clonesOf: (id) => [...(index.clones.get(id) ?? [])],
    holdsOf: (id) => holds.get(id) ?? new Set(),
    uses: (file) => index.files.has(file),
    nextId: () => ++lastId,
    nextTxg: () => ++lastTxg,
    commit: async (change) => {
      await database.run("BEGIN");
      try {
        await write(change);
        await database.run("COMMIT");
      } catch (error) {
        await database.run("ROLLBACK").catch(() => {});
        throw error;
      }
      apply(change);
    },
    close: () => database.close(),
  };
  return catalog;
}

/** The name of the snapshot that an entry is a clone of. */
export function originOf(catalog: Catalog, entry: Entry): SnapshotName | undefined {
  const origin = entry.origin === undefined ? undefined : catalog.withId(entry.origin);
  return origin?.name as SnapshotName | undefined;
}
