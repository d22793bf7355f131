import { existsSync } from "node:fs";
import { copyFile, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { sync } from "../../../protocol/raw-disk/file-writes.js";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { EmbeddedSettings } from "../../../protocol/storage/pool-settings.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import { openSqlite } from "../../sqlite/open-sqlite.js";
import { backupOf, type Catalog, openCatalog } from "./catalog.js";
import type { PoolSurvey } from "./pool-survey.js";
import { readCatalog } from "./stored-catalog.js";
import type { VolumeFiles } from "./volume-files.js";

/** The catalog of the pool in a folder. */
export function catalogIn(folder: string): string {
  return join(folder, "pool.db");
}

/** Errors of SQLite that say nothing about the content of the file. */
const NO_DAMAGE = /^SQLITE_(?:BUSY|LOCKED|FULL|READONLY|CANTOPEN|PERM|AUTH|NOMEM|IOERR|FORMAT|MISUSE)$/;

function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith("SQLITE_") && !NO_DAMAGE.test(code);
}

/** What the backup of a catalog holds. */
interface Backup {
  readonly path: string;
  readonly datasets: number;
  /** The files with data that it knows. */
  readonly files: ReadonlySet<string>;
  /** When it was written, as in ISO 8601. */
  readonly time: string;
}

function filesOf(datasets: Iterable<{ readonly file: string }>): Set<string> {
  return new Set([...datasets].flatMap(({ file }) => (file === "" ? [] : [file])));
}

/** Undefined: there is none, or it is damaged too. */
async function readBackup(path: string, log: ActorLog): Promise<Backup | undefined> {
  if (!existsSync(path)) return undefined;
  const database = await openSqlite(path);
  try {
    const { datasets } = await readCatalog(database);
    const time = (await stat(path)).mtime.toISOString();
    return { path, datasets: datasets.length, files: filesOf(datasets), time };
  } catch (error) {
    log.error("the backup of the catalog can't be read", { path, error: messageOf(error) });
    return undefined;
  } finally {
    await database.close();
  }
}

/** A catalog that is open, and what was in the pool's folders since. */
interface OpenedCatalog {
  readonly catalog: Catalog;
  readonly survey: PoolSurvey;
}

/** Surveys the folders while the catalog is read, and not before nobody else can change them. */
async function openWithSurvey(path: string, files: VolumeFiles, log: ActorLog): Promise<OpenedCatalog> {
  let surveying: Promise<PoolSurvey> | undefined;
  const catalog = await openCatalog(path, log, () => {
    surveying = files.survey();
    // It is told when the catalog has been read.
    surveying.catch(() => {});
  });
  try {
    return { catalog, survey: await (surveying ?? files.survey()) };
  } catch (error) {
    await catalog.close();
    throw error;
  }
}

/** An open catalog, or none, and what is wrong with it: undefined when nothing is. */
interface Examined {
  readonly opened?: OpenedCatalog;
  readonly problem: string | undefined;
}

/** Looks into the backup only where the catalog has nothing to say: both are as large. */
async function examine(path: string, files: VolumeFiles, log: ActorLog): Promise<Examined> {
  if (!existsSync(path)) {
    const { files: there } = await files.survey();
    // Opening it would create an empty one.
    if (there.size > 0 || (await readBackup(backupOf(path), log))) return { problem: "is missing" };
    return { opened: await openWithSurvey(path, files, log), problem: undefined };
  }
  let opened: OpenedCatalog;
  try {
    opened = await openWithSurvey(path, files, log);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { problem: `is damaged (${messageOf(error)})` };
  }
  const { catalog, survey } = opened;
  const [first] = catalog.datasets();
  if (first === undefined) {
    const backup = await readBackup(backupOf(path), log);
    if (backup && backup.datasets > 0) return { opened, problem: "is empty" };
  }
  let unknown = 0;
  for (const file of survey.files.keys()) {
    if (!catalog.isFileUsed(file) && !catalog.isDiscarded(file)) unknown++;
  }
  const used = unknown === 0 ? 0 : filesOf(catalog.datasets()).size;
  if (unknown <= used) return { opened, problem: undefined };
  const problem = `knows ${used} files with data, and there are ${unknown} others: it is damaged, or older than they are`;
  return { opened, problem };
}

/** Moves a file that can't be used out of the way, with its journal, which no other file may ever get. */
async function putAside(path: string, log: ActorLog): Promise<void> {
  const aside = `${path}.damaged-${Date.now()}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) await rename(path + suffix, aside + suffix);
  }
  log.error("the catalog can't be used and is put aside", { path, aside });
}

/** Keeps the backup as it is now: the one at `path` will soon hold the state of the recovered pool. */
async function keepBackup({ path }: Backup): Promise<void> {
  await copyFile(path, `${path}.kept-${Date.now()}`);
}

/** More than a pool gives out between a backup and the next. */
const SKIPPED_IDS = 1_000_000;

async function restore(path: string, { path: from, datasets, time }: Backup, log: ActorLog): Promise<void> {
  await copyFile(from, path);
  const database = await openSqlite(path);
  try {
    // Those that were given out since the backup must not be used again.
    const skip = `UPDATE facts SET value = CAST(value AS INTEGER) + ${SKIPPED_IDS} WHERE name IN ('last_id', 'last_txg')`;
    await database.run(skip);
  } finally {
    await database.close();
  }
  await sync(path);
  await sync(dirname(path));
  log.error("the catalog is restored from its backup", { path, backup: from, datasets, time });
}

/** Whether a backup knows more of the files that are there, or any dataset where the catalog knows none. */
function knowsMore(backup: Backup | undefined, { catalog, survey }: OpenedCatalog): boolean {
  if (!backup) return false;
  const datasets = [...catalog.datasets()];
  if (datasets.length === 0) return true;
  const known = (of: ReadonlySet<string>) => [...survey.files.keys()].filter((file) => of.has(file)).length;
  return known(backup.files) > known(filesOf(datasets));
}

function adviceOf(backup: Backup | undefined, lost: string): string {
  const source = backup
    ? `takes the backup ${backup.path} (${backup.datasets} datasets, ${backup.time}) if that knows more`
    : "begins a new one, since there is no good backup";
  return `Nothing was deleted. Start once with "imagestore serve --recover" (or "recover": true for the pool): it puts this file aside, ${source}, and keeps all files that are then unknown in ${lost}`;
}

/**
 * Opens the catalog of a pool, or creates that of a new pool, and looks at the pool's folders. One that is
 * damaged, missing or empty beside data, or that knows fewer files than there are others, is refused unless
 * the settings say `recover`. Then it is put aside, and its backup taken where that can be read and knows
 * more of the files.
 * Fails: pool.unavailable. Rejects with errors of the file system and of SQLite that show no damage.
 */
export async function openSoundCatalog(
  { name, recover = false }: EmbeddedSettings,
  folder: string,
  files: VolumeFiles,
  log: ActorLog,
): Promise<Outcome<OpenedCatalog>> {
  const path = catalogIn(folder);
  const { opened, problem } = await examine(path, files, log);
  if (opened && problem === undefined) return succeed(opened);
  const backup = await readBackup(backupOf(path), log);
  if (!recover) {
    await opened?.catalog.close();
    const message = `the catalog of pool ${name}, ${path}, ${problem}. ${adviceOf(backup, files.lost)}`;
    return fail("pool.unavailable", message);
  }
  if (backup) await keepBackup(backup);
  if (opened && !knowsMore(backup, opened)) return succeed(opened);
  await opened?.catalog.close();
  await putAside(path, log);
  if (backup) await restore(path, backup, log);
  return succeed(await openWithSurvey(path, files, log));
}
