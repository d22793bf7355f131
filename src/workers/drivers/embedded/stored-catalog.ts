import type { Sqlite } from "../../sqlite/sqlite.js";
import {
  CatalogDamage,
  createDatasetReader,
  DATASETS_AS_JSON,
  holdOfRow,
  idOfRow,
  rowsIn,
} from "./catalog-rows.js";
import type { Dataset, Hold } from "./dataset.js";

/** What a catalog's file holds. */
export interface StoredCatalog {
  readonly datasets: readonly Dataset[];
  readonly holds: readonly Hold[];
  readonly discarded: readonly string[];
  readonly lastId: number;
  readonly lastTxg: bigint;
}

/** So many rows are one text: it must not get too long. */
const ROWS_A_TEXT = 5_000;

/**
 * Reads the rows as JSON: one by one they take five times as long to get here. SQLite writes the
 * next text while the datasets of one are made.
 */
async function readDatasets(database: Sqlite): Promise<readonly Dataset[]> {
  const datasets: Dataset[] = [];
  const readDataset = createDatasetReader();
  const textBehind = (id: number) => {
    const text = database.all(DATASETS_AS_JSON, id, ROWS_A_TEXT);
    // Damage in the text before it is told first.
    text.catch(() => {});
    return text;
  };
  for (let text = textBehind(-1); ; ) {
    const [row] = await text;
    const rows = rowsIn(row?.rows);
    const last = rows.at(-1);
    const isLast = last === undefined || rows.length < ROWS_A_TEXT;
    if (!isLast) text = textBehind(idOfRow(last));
    for (const each of rows) datasets.push(readDataset(each));
    if (isLast) return datasets;
  }
}

/** Reads all tables. Throws CatalogDamage, or SQLite's error. */
export async function readCatalog(database: Sqlite): Promise<StoredCatalog> {
  const [check] = await database.all("PRAGMA integrity_check(1)");
  if (check?.integrity_check !== "ok") throw new CatalogDamage(`SQLite finds: ${check?.integrity_check}`);
  const datasets = await readDatasets(database);
  const holds = await database.all("SELECT id, tag FROM holds");
  const discarded = await database.all("SELECT file FROM discarded");
  const facts = await database.all("SELECT name, value FROM facts WHERE name IN ('last_id', 'last_txg')");
  const given = (name: string) => /^\d+$/.exec(String(facts.find((row) => row.name === name)?.value))?.[0];
  return {
    datasets,
    holds: holds.map(holdOfRow),
    discarded: discarded.map(({ file }) => String(file)),
    lastId: Number(given("last_id") ?? 0),
    lastTxg: BigInt(given("last_txg") ?? 0),
  };
}
