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

async function removeLeftovers(
  pool: PoolName,
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): Promise<void> {
  const volumes = [...catalog.datasets()].filter((dataset) => dataset.type === "volume");
  const removed = await files.removeLeftovers(catalog.isFileUsed, volumes);
  if (removed > 0) log.warn("files that a crash left are removed", { pool, files: removed });
}

async function openFolder(
  folder: string,
  { name, quotaBytes }: EmbeddedSettings,
  log: ActorLog,
): Promise<Outcome<EmbeddedPool>> {
  const problem = folderProblem(folder);
  if (problem !== undefined) return fail("pool.not_found", `pool ${name}: ${problem}`);
  const files = await openVolumeFiles(folder);
  const catalog = await openCatalog(join(folder, CATALOG_FILE));
  try {
    const failure = await ensureRoot(name, catalog);
    if (failure) {
      await catalog.close();
      return failure;
    }
    await removeLeftovers(name, catalog, files, log);
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
