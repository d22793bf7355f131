import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { PoolName } from "../../../protocol/storage/names.js";
import type { EmbeddedSettings } from "../../../protocol/storage/pool-settings.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { type Trace, traced } from "../../../protocol/threads/trace-points.js";
import { backupOf, type Catalog } from "./catalog.js";
import { catalogIn, openSoundCatalog } from "./catalog-recovery.js";
import { type CatalogTransactions, createCatalogTransactions } from "./catalog-transaction.js";
import type { Volume } from "./dataset.js";
import { newFilesystem } from "./dataset-rules.js";
import { createIncomingReceives, type IncomingReceives } from "./incoming-receives.js";
import { type FoundPartial, findKeptPartials } from "./kept-partials.js";
import type { PoolSurvey } from "./pool-survey.js";
import { createReceiveGrants } from "./receive-grants.js";
import { createSpaceAccounting, type SpaceAccounting } from "./space-accounting.js";
import { createSpaceReserve, giveRoom, type SpaceReserve } from "./space-reserve.js";
import { catchStorageErrors } from "./storage-errors.js";
import { openVolumeFiles, type VolumeFiles } from "./volume-files.js";

/** What every change of an embedded pool works with. */
export interface EmbeddedPool {
  readonly name: PoolName;
  readonly catalog: Catalog;
  readonly files: VolumeFiles;
  readonly transactions: CatalogTransactions;
  readonly accounting: SpaceAccounting;
  readonly receives: IncomingReceives;
  readonly reserve: SpaceReserve;
  /** The datasets whose data was not there when the pool was opened. */
  readonly missing: readonly string[];
}

const MAX_NAMED = 3;

/** What the administrator has to look at, a line each. None of it keeps the pool from working. */
export async function noticesOf({
  files,
  missing,
}: Pick<EmbeddedPool, "files" | "missing">): Promise<readonly string[]> {
  const notices: string[] = [];
  const lost = await files.countLost();
  if (lost > 0) notices.push(`files that the catalog did not know are kept in ${files.lost}: ${lost}`);
  if (missing.length > 0) {
    const named = missing.slice(0, MAX_NAMED).join(", ");
    const more = missing.length > MAX_NAMED ? ", …" : "";
    notices.push(`the data of ${missing.length} datasets is missing: ${named}${more}`);
  }
  return notices;
}

/** Refuses a folder with other files in it, so that a typing error in the configuration makes no pool of it. */
function folderProblem(folder: string): string | undefined {
  const catalog = catalogIn(folder);
  // With these but without its catalog the folder is a damaged pool.
  const isPool = [catalog, backupOf(catalog), join(folder, "volumes")].some((path) => existsSync(path));
  if (isPool || !existsSync(folder)) return undefined;
  return readdirSync(folder).length > 0 ? `${folder} holds other files and is no pool` : undefined;
}

/** Creates the root filesystem of a new pool. Fails: pool.not_found (the catalog is another pool's). */
async function ensureRoot(pool: PoolName, catalog: Catalog): Promise<FailedOutcome | undefined> {
  const [first] = catalog.datasets();
  const root = first?.name.split(/[/@]/)[0];
  if (root === undefined) {
    catalog.stage({ put: [newFilesystem(catalog, pool)] });
    await catalog.commit();
  } else if (root !== pool) return fail("pool.not_found", `the folder's pool is called ${root}, not ${pool}`);
  return undefined;
}

/**
 * Puts right what a crash may have left: publishes files of committed datasets, deletes those
 * that a commit discarded, and puts the links right. A file that the catalog neither uses nor
 * discarded is never deleted, but set aside.
 * @returns the files in `volumes/` now.
 */
async function settleFiles(
  { name: pool, recover = false }: EmbeddedSettings,
  catalog: Catalog,
  files: VolumeFiles,
  { files: there, links }: PoolSurvey,
  partials: readonly FoundPartial[],
  log: ActorLog,
): Promise<PoolSurvey["files"]> {
  const kept = new Set(partials.map(({ folder }) => folder));
  for (const file of await files.settleIncoming(catalog.isFileUsed, recover, kept)) {
    const look = files.look(file);
    if (look) there.set(file, look);
  }
  const unused = [...there.keys()].filter((file) => !catalog.isFileUsed(file));
  const discarded = unused.filter(catalog.isDiscarded);
  const unknown = unused.filter((file) => !catalog.isDiscarded(file));
  for (const file of discarded) {
    await files.remove(file);
    catalog.noteRemoved(file);
  }
  for (const file of unknown) await files.setAside(file);
  for (const file of unused) there.delete(file);
  if (unknown.length > 0) {
    log.error("files that the catalog does not know are set aside", {
      pool,
      files: unknown,
      folder: files.lost,
    });
  }
  if (discarded.length > 0)
    log.warn("files that a crash left are removed", { pool, files: discarded.length });
  for (const [file, { isPrivate }] of there) if (!isPrivate) files.makePrivate(file);
  await files.settleLinks(links, volumesIn(catalog));
  return there;
}

function* volumesIn(catalog: Catalog): Iterable<Volume> {
  for (const dataset of catalog.datasets()) if (dataset.type === "volume") yield dataset;
}

/** The datasets whose data is not there, as after the restoration of an older catalog. */
function findEmptyHanded(catalog: Catalog, there: PoolSurvey["files"]): readonly string[] {
  const missing: string[] = [];
  for (const { name, file } of catalog.datasets()) if (file !== "" && !there.has(file)) missing.push(name);
  return missing;
}

async function openFolder(
  folder: string,
  settings: EmbeddedSettings,
  log: ActorLog,
  trace: Trace | undefined,
): Promise<Outcome<EmbeddedPool>> {
  const { name, quotaBytes } = settings;
  const problem = folderProblem(folder);
  if (problem !== undefined) return fail("pool.not_found", `pool ${name}: ${problem}`);
  const files = traced(trace, "files", await openVolumeFiles(folder));
  const opened = await openSoundCatalog(settings, folder, files, log);
  if (!opened.ok) return opened;
  const { survey } = opened.value;
  const catalog = traced(trace, "catalog", opened.value.catalog, ["commit"]);
  let isOpen = false;
  try {
    const failure = await ensureRoot(name, catalog);
    if (failure) return failure;
    const partials = await findKeptPartials(catalog, files, settings.recover ?? false, log);
    const there = await settleFiles(settings, catalog, files, survey, partials, log);
    const quota = quotaBytes === undefined ? undefined : bytes(quotaBytes);
    const transactions = createCatalogTransactions(catalog, files, log);
    const accounting = createSpaceAccounting(catalog, files, quota, there);
    const reserve = createSpaceReserve(folder, files.available, log);
    await reserve.restore();
    const missing = findEmptyHanded(catalog, there);
    const grants = createReceiveGrants(accounting, transactions, log);
    const receives = createIncomingReceives(catalog, files, grants, partials);
    const pool = { name, catalog, files, transactions, accounting, receives, reserve, missing };
    for (const notice of await noticesOf(pool)) log.error(notice, { pool: name });
    isOpen = true;
    return succeed(pool);
  } finally {
    if (!isOpen) await catalog.close();
  }
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
  trace?: Trace,
): Promise<Outcome<EmbeddedPool>> {
  const folder = resolve(settings.folder);
  const what = `pool ${settings.name} in ${folder}`;
  // A full disk must not keep the pool from being opened, since only an open pool can make room.
  const opened = await catchStorageErrors(
    `${what} can't be opened`,
    () => giveRoom(folder, log, () => openFolder(folder, settings, log, trace)),
    "administrator",
  );
  if (opened.ok || !opened.failure.message.includes("SQLITE_BUSY")) return opened;
  return fail("pool.unavailable", `${what} is open in another imagestore`);
}
