import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type DatasetName, isSnapshotName, type PoolName } from "../../../protocol/storage/names.js";
import type { EmbeddedSettings } from "../../../protocol/storage/pool-settings.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { Zfs } from "../driver.js";
import { type Catalog, openCatalog } from "./catalog.js";
import { createCommits } from "./catalog-transaction.js";
import { embeddedChanges } from "./changes.js";
import { newEntry } from "./dataset-rules.js";
import { embeddedReads } from "./reads.js";
import { createUsage } from "./space-accounting.js";
import { attempt } from "./storage-errors.js";
import { embeddedTransfers } from "./transfers.js";
import { openVolumeFiles, type VolumeFiles } from "./volume-files.js";

const CATALOG_FILE = "pool.db";

/** A folder that holds something else must not become a pool by a slip in the configuration. */
function folderProblem(folder: string): string | undefined {
  if (!existsSync(folder) || existsSync(join(folder, CATALOG_FILE))) return undefined;
  return readdirSync(folder).length > 0 ? `${folder} holds other files and is no pool` : undefined;
}

/**
 * Opens the pool in a folder, or makes it there; removes what a crash has left.
 * Fails: pool.not_found (the folder is something else, or can't be made),
 * pool.unavailable (another daemon has it open, or it can't be read).
 */
export async function openEmbeddedZfs(settings: EmbeddedSettings, log: ActorLog): Promise<Outcome<Zfs>> {
  const { name: pool } = settings;
  const folder = resolve(settings.folder);
  const open = async (): Promise<Outcome<Zfs>> => {
    const problem = folderProblem(folder);
    if (problem !== undefined) return fail("pool.not_found", `pool ${pool}: ${problem}`);
    const files = await openVolumeFiles(folder);
    const catalog = await openCatalog(join(folder, CATALOG_FILE));
    const opened = await settle(pool, catalog, files, log).catch((error: unknown) => ({ error }));
    if (opened === undefined) return succeed(assemble(settings, catalog, files, log));
    await catalog.close();
    if ("error" in opened) throw opened.error;
    return opened;
  };
  return attempt(`pool ${pool} in ${folder} can't be opened`, open).then((opened) => {
    if (opened.ok || !opened.failure.message.includes("SQLITE_BUSY")) return opened;
    return fail("pool.unavailable", `pool ${pool} in ${folder} is open in another imagestore`);
  });
}

/** Makes the pool's root where it is new, and removes what nobody uses. */
async function settle(
  pool: PoolName,
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): Promise<FailedOutcome | undefined> {
  const [first] = catalog.entries();
  const root = first?.name.split(/[/@]/)[0];
  if (root === undefined) await catalog.commit({ put: [newEntry(catalog, pool, { type: "filesystem" })] });
  else if (root !== pool) return fail("pool.not_found", `the folder's pool is called ${root}, not ${pool}`);
  const volumes = [...catalog.entries()].filter(({ type }) => type === "volume");
  const links = volumes.map(({ name, file }): [DatasetName, string] => [name as DatasetName, file]);
  const removed = await files.sweep(catalog.uses, links);
  if (removed > 0) log.warn("files that a crash left are removed", { pool, files: removed });
  return undefined;
}

function assemble(
  { name: pool, quotaBytes }: EmbeddedSettings,
  catalog: Catalog,
  files: VolumeFiles,
  log: ActorLog,
): Zfs {
  const quota = quotaBytes === undefined ? undefined : bytes(quotaBytes);
  const usage = createUsage(catalog, files, quota);
  const commits = createCommits(catalog, files, log);
  const changes = embeddedChanges(catalog, files, commits, usage);
  const { dropReceived, ...streams } = embeddedTransfers(catalog, files, commits, usage);
  return {
    ...embeddedReads(pool, catalog),
    ...changes,
    ...streams,
    async destroy(name, recursive) {
      const what = `cannot destroy '${name}'`;
      if (!isSnapshotName(name)) {
        const dropped = await attempt(what, async () => succeed(await dropReceived(name)));
        if (!dropped.ok) return dropped;
      }
      return changes.destroy(name, recursive);
    },
    space: () => attempt("the pool's space can't be told", async () => succeed(await usage.space())),
    checkPool: async () => succeed({ health: "ONLINE", version: "imagestore embedded" }),
    // The link is there before the answer.
    waitForDevice: async () => true,
    devices: files.devices,
    commandsRun: 0,
    close: () => catalog.close(),
  };
}
