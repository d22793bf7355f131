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
export const DATASETS_AS_JSON = `SELECT json_group_array(json_object(${COLUMNS.map((name) => `'${name}', ${name}`).join(", ")})) AS rows
  FROM (SELECT * FROM datasets WHERE id > ? ORDER BY id LIMIT ?)`;

/** The rows in such a text. Throws CatalogDamage. */
export function rowsIn(text: SqlValue | undefined): readonly SqlRow[] {
  const rows: unknown = JSON.parse(String(text));
  if (!Array.isArray(rows)) throw new CatalogDamage("the catalog's datasets can't be read");
  return rows;
}

/** The file holds what no version of the catalog writes. Its code is SQLite's for a damaged file. */
export class CatalogDamage extends Error {
  override readonly name = "CatalogDamage";
  readonly code = "SQLITE_CORRUPT";
}

function failureOf(row: SqlRow, column: string): CatalogDamage {
  return new CatalogDamage(`the catalog has a bad ${column}: ${JSON.stringify(row[column])}`);
}

function textIn(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw failureOf(row, column);
  return value;
}

function integerIn(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw failureOf(row, column);
  return value;
}

function sizeIn(row: SqlRow, column: string): Bytes {
  const digits = textIn(row, column);
  if (!/^\d+$/.test(digits)) throw failureOf(row, column);
  return bytes(BigInt(digits));
}

function propertiesIn(row: SqlRow, column: string): Properties {
  let parsed: unknown;
  try {
    parsed = JSON.parse(textIn(row, column));
  } catch {
    throw failureOf(row, column);
  }
  if (typeof parsed !== "object" || parsed === null) throw failureOf(row, column);
  const properties = Object.entries(parsed).map(([property, value]: [string, unknown]) => {
    if (typeof value !== "string") throw failureOf(row, column);
    return [property, value];
  });
  return Object.fromEntries(properties);
}

/** The grammar of a name was checked before it was stored; what is left to tell apart is its kind. */
function isSnapshot(name: string): name is SnapshotName {
  return name.includes("@");
}

function isDataset(name: string): name is DatasetName {
  return !isSnapshot(name);
}

/** Throws CatalogDamage. */
export function datasetOfRow(row: SqlRow): Dataset {
  const fields = {
    id: integerIn(row, "id"),
    guid: textIn(row, "guid"),
    createtxg: BigInt(integerIn(row, "createtxg")),
    created: integerIn(row, "created"),
    volsize: sizeIn(row, "volsize"),
    volblocksize: integerIn(row, "volblocksize"),
    written: sizeIn(row, "written"),
    file: textIn(row, "file"),
    allocated: sizeIn(row, "held"),
    reserved: row.reserved === 1,
    readonly: row.readonly === 1,
    origin: row.origin === null ? undefined : integerIn(row, "origin"),
    properties: propertiesIn(row, "properties"),
  };
  const type = textIn(row, "type");
  const name = textIn(row, "name");
  if (type === "snapshot" && isSnapshot(name)) return { ...fields, type, name };
  if (type === "volume" && isDataset(name)) return { ...fields, type, name };
  if (type === "filesystem" && isDataset(name)) return { ...fields, type, name };
  throw failureOf(row, "type");
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
export function holdOfRow(row: SqlRow): Hold {
  return { id: integerIn(row, "id"), tag: textIn(row, "tag") };
}
