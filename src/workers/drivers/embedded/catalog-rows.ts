import type { DatasetName, SnapshotName } from "../../../protocol/storage/names.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { SqlRow, SqlValue } from "../../sqlite/sqlite.js";
import type { Properties } from "../driver.js";
import type { Dataset, Hold } from "./dataset.js";

/** Of the tables below. A change of them needs a new version, which must read the pools of older ones. */
export const CATALOG_VERSION = 1;

/**
 * The tables of a catalog.
 * Sizes are decimal text: SQLite's numbers reach this process as doubles.
 */
export const CATALOG_TABLES: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS datasets (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL, guid TEXT NOT NULL,
    createtxg INTEGER NOT NULL, created INTEGER NOT NULL, volsize TEXT NOT NULL, volblocksize INTEGER NOT NULL,
    written TEXT NOT NULL, file TEXT NOT NULL, held TEXT NOT NULL, reserved INTEGER NOT NULL,
    readonly INTEGER NOT NULL, origin INTEGER, properties TEXT NOT NULL
  ) STRICT`,
  "CREATE TABLE IF NOT EXISTS holds (id INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (id, tag)) STRICT",
  // Files that a commit left without a dataset: of all files that no dataset uses, only these may be deleted.
  "CREATE TABLE IF NOT EXISTS discarded (file TEXT PRIMARY KEY) STRICT",
];

const COLUMNS: readonly string[] = [
  ...["id", "name", "type", "guid", "createtxg", "created", "volsize", "volblocksize"],
  ...["written", "file", "held", "reserved", "readonly", "origin", "properties"],
];

/*
 * Each of these takes one value, a list as JSON, so that a commit costs the same few statements
 * however much it changes.
 */

/** Ids. */
export const DELETE_DATASETS = "DELETE FROM datasets WHERE id IN (SELECT value FROM json_each(?))";
export const DELETE_HOLDS = "DELETE FROM holds WHERE id IN (SELECT value FROM json_each(?))";
/** Lists as of datasetValues. No two may have the same name or id; a row that has one of these names goes. */
export const PUT_DATASETS = `INSERT OR REPLACE INTO datasets SELECT ${valuesOf(COLUMNS.length)} FROM json_each(?)`;
/** Pairs of an id and a tag. */
export const ADD_HOLDS = `INSERT INTO holds SELECT ${valuesOf(2)} FROM json_each(?)`;
/** Names of files. */
export const ADD_DISCARDED = "INSERT OR IGNORE INTO discarded SELECT value FROM json_each(?)";
export const DELETE_DISCARDED = "DELETE FROM discarded WHERE file IN (SELECT value FROM json_each(?))";

/** The first so many elements of an element of json_each. */
function valuesOf(count: number): string {
  return Array.from({ length: count }, (_, index) => `value ->> ${index}`).join(", ");
}

/** Gives, as a text of JSON, the rows with an id above the first value, in their order, as many as the second. */
export const DATASETS_AS_JSON = `SELECT json_group_array(json_array(${COLUMNS.join(", ")})) AS rows
  FROM (SELECT * FROM datasets WHERE id > ? ORDER BY id LIMIT ?)`;

/** The values of a dataset, in the order of the table's columns. */
type DatasetRow = readonly unknown[];

/** The rows in such a text. Throws CatalogDamage. */
export function rowsIn(text: SqlValue | undefined): readonly DatasetRow[] {
  const rows: unknown = JSON.parse(String(text));
  if (!Array.isArray(rows)) throw new CatalogDamage("the catalog's datasets can't be read");
  return rows;
}

/** Throws CatalogDamage. */
export function idOfRow([id]: DatasetRow): number {
  return integerOf(id, "id");
}

/** The file holds what no version of the catalog writes. Its code is SQLite's for a damaged file. */
export class CatalogDamage extends Error {
  override readonly name = "CatalogDamage";
  readonly code = "SQLITE_CORRUPT";
}

function failureOf(value: unknown, column: string): CatalogDamage {
  return new CatalogDamage(`the catalog has a bad ${column}: ${JSON.stringify(value)}`);
}

function textOf(value: unknown, column: string): string {
  if (typeof value !== "string") throw failureOf(value, column);
  return value;
}

function integerOf(value: unknown, column: string): number {
  if (typeof value !== "number") throw failureOf(value, column);
  return value;
}

function sizeOf(digits: string, column: string): Bytes {
  if (!/^\d+$/.test(digits)) throw failureOf(digits, column);
  return bytes(BigInt(digits));
}

function propertiesOf(text: string, column: string): Properties {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw failureOf(text, column);
  }
  if (typeof parsed !== "object" || parsed === null) throw failureOf(text, column);
  const properties = Object.entries(parsed).map(([property, value]: [string, unknown]) => {
    if (typeof value !== "string") throw failureOf(text, column);
    return [property, value];
  });
  return Object.fromEntries(properties);
}

/** What a column says by its text. Few texts occur in very many rows: those share one value. */
function sharedBy<Value>(read: (text: string, column: string) => Value) {
  const known = new Map<string, Value>();
  return (value: unknown, column: string): Value => {
    const text = textOf(value, column);
    const found = known.get(text) ?? read(text, column);
    known.set(text, found);
    return found;
  };
}

/** The grammar of a name was checked before it was stored; what is left to tell apart is its kind. */
function isSnapshot(name: string): name is SnapshotName {
  return name.includes("@");
}

function isDataset(name: string): name is DatasetName {
  return !isSnapshot(name);
}

/** Makes datasets of rows. Each call throws CatalogDamage. */
export function createDatasetReader(): (row: DatasetRow) => Dataset {
  const sharedSize = sharedBy(sizeOf);
  const sharedProperties = sharedBy(propertiesOf);

  function datasetOf<Type, Name>(type: Type, name: Name, row: DatasetRow) {
    const [id, , , guid, createtxg, created, volsize, volblocksize, written, file, held, ...others] = row;
    const [reserved, readonly, origin, properties] = others;
    return {
      type,
      name,
      id: integerOf(id, "id"),
      guid: textOf(guid, "guid"),
      createtxg: BigInt(integerOf(createtxg, "createtxg")),
      created: integerOf(created, "created"),
      volsize: sharedSize(volsize, "volsize"),
      volblocksize: integerOf(volblocksize, "volblocksize"),
      written: sharedSize(written, "written"),
      file: textOf(file, "file"),
      allocated: sharedSize(held, "held"),
      reserved: reserved === 1,
      readonly: readonly === 1,
      origin: origin === null ? undefined : integerOf(origin, "origin"),
      properties: sharedProperties(properties, "properties"),
    };
  }

  return (row) => {
    const name = textOf(row[1], "name");
    const type = textOf(row[2], "type");
    if (type === "snapshot" && isSnapshot(name)) return datasetOf(type, name, row);
    if (type === "volume" && isDataset(name)) return datasetOf(type, name, row);
    if (type === "filesystem" && isDataset(name)) return datasetOf(type, name, row);
    throw failureOf(type, "type");
  };
}

/** In the order of the table's columns. */
export function datasetValues(dataset: Dataset): SqlValue[] {
  return [
    dataset.id,
    dataset.name,
    dataset.type,
    dataset.guid,
    Number(dataset.createtxg),
    dataset.created,
    String(dataset.volsize),
    dataset.volblocksize,
    String(dataset.written),
    dataset.file,
    String(dataset.allocated),
    Number(dataset.reserved),
    Number(dataset.readonly),
    dataset.origin ?? null,
    JSON.stringify(dataset.properties),
  ];
}

/** Throws CatalogDamage. */
export function holdOfRow({ id, tag }: SqlRow): Hold {
  return { id: integerOf(id, "id"), tag: textOf(tag, "tag") };
}
