import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { PoolName } from "../../../protocol/storage/names.js";
import type { EmbeddedSettings } from "../../../protocol/storage/pool-settings.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { type Catalog, openCatalog } from "./catalog.js";
import { type CatalogTransactions, createCatalogTransactions } from "./catalog-transaction.js";
import { newFilesystem } from "./dataset-rules.js";
import { createSpaceAccounting, type SpaceAccounting } from "./space-accounting.js";
import { catchStorageErrors } from "./storage-errors.js";
import { openVolumeFiles, type VolumeFiles } from "./volume-files.js";

/** What every change of an embedded pool works with. */
export interface EmbeddedPool {
  readonly name: PoolName;
  readonly catalog: Catalog;
  readonly files: VolumeFiles;
  readonly transactions: CatalogTransactions;
  readonly accounting: SpaceAccounting;
}

const CATALOG_FILE = "pool.db";

/** Refuses a folder with other files in it, so that a typing error in the configuration makes no pool of it. */
function folderProblem(folder: string): string | undefined {
  if (!existsSync(folder) || existsSync(join(folder, CATALOG_FILE))) return undefined;
  return readdirSync(folder).length > 0 ? `${folder} holds other files and is no pool` : undefined;
}

/** Creates the root filesystem of a new pool. Fails: pool.not_found (the catalog is another pool's). */
async function ensureRoot(pool: PoolName, catalog: Catalog): Promise<FailedOutcome | undefined> {
  const [first] = catalog.datasets();
  const root = first?.name.split(/[/@]/)[0];
  if (root === undefined) await catalog.commit({ put: [newFilesystem(catalog, pool)] });
  else if (root !== pool) return fail("pool.not_found", `the folder's pool is called ${root}, not ${pool}`);
  return undefined;
}

/**
 * Puts right what a crash may have left: publishes files of committed datasets, deletes those
 * that a commit discarded, and recreates the links. A file that the catalog neither uses nor
 * discarded is never deleted, but set aside.
 * Fails: pool.unavailable when the catalog seems to be damaged or older than the files: more
 * files than it knows would be set aside. With `recover` they are.
 */
async function settleFiles(
  { name: pool, recover = false }: EmbeddedSettings,
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): Promise<FailedOutcome | undefined> {
  const datasets = [...catalog.datasets()];
  const used = new Set(datasets.flatMap(({ file }) => (file === "" ? [] : [file])));
  const unused = (await files.list()).filter((file) => !used.has(file));
  const discarded = unused.filter(catalog.isDiscarded);
  const unknown = unused.filter((file) => !catalog.isDiscarded(file));
  if (unknown.length > used.size && !recover) {
    const message = `the catalog of pool ${pool} knows ${used.size} files with data, and there are ${unknown.length} others: it may be damaged or older than they are. Restore pool.db, or start once with "recover": true to keep the others in ${files.lost}`;
    return fail("pool.unavailable", message);
  }
  await files.settleIncoming(used);
  for (const file of discarded) {
    await files.remove(file);
    catalog.noteRemoved(file);
  }
  for (const file of unknown) await files.setAside(file);
  if (unknown.length > 0) {
    log.error("files that the catalog does not know are set aside", {
      pool,
      files: unknown,
      folder: files.lost,
    });
  }
  if (discarded.length > 0)
    log.warn("files that a crash left are removed", { pool, files: discarded.length });
  await files.recreateLinks(datasets.filter((dataset) => dataset.type === "volume"));
  return undefined;
}

async function openFolder(
  folder: string,
  settings: EmbeddedSettings,
  log: ActorLog,
): Promise<Outcome<EmbeddedPool>> {
  const { name, quotaBytes } = settings;
  const problem = folderProblem(folder);
  if (problem !== undefined) return fail("pool.not_found", `pool ${name}: ${problem}`);
  const files = await openVolumeFiles(folder);
  const catalog = await openCatalog(join(folder, CATALOG_FILE));
  try {
    const failure = (await ensureRoot(name, catalog)) ?? (await settleFiles(settings, catalog, files, log));
    if (failure) {
      await catalog.close();
      return failure;
    }
  } catch (error) {
    await catalog.close();
    throw error;
  }
  const quota = quotaBytes === undefined ? undefined : bytes(quotaBytes);
  const transactions = createCatalogTransactions(catalog, files, log);
  const accounting = createSpaceAccounting(catalog, files, quota);
  return succeed({ name, catalog, files, transactions, accounting });
}

/**
 * Opens the pool in a folder or creates it there, and removes what a crash left behind.
 * The caller closes its catalog.
 * Fails: pool.not_found (the folder holds something else, or another pool), pool.unavailable
 * (another daemon has it open, or it can't be read), and as storage-errors.ts says.
 */
export async function openEmbeddedPool(
  settings: EmbeddedSettings,
  log: ActorLog,
): Promise<Outcome<EmbeddedPool>> {
  const folder = resolve(settings.folder);
  const what = `pool ${settings.name} in ${folder}`;
  const opened = await catchStorageErrors(`${what} can't be opened`, () => openFolder(folder, settings, log));
  if (opened.ok || !opened.failure.message.includes("SQLITE_BUSY")) return opened;
  return fail("pool.unavailable", `${what} is open in another imagestore`);
}
