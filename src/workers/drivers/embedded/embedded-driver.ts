import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { isSnapshotName } from "../../../protocol/storage/names.js";
import type { EmbeddedSettings } from "../../../protocol/storage/pool-settings.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";
import type { ChangeCounter } from "../../../protocol/threads/change-counter.js";
import type { Trace } from "../../../protocol/threads/trace-points.js";
import type { Zfs } from "../driver.js";
import { embeddedChanges } from "./changes.js";
import { doomedRecords, findDoomedDatasets } from "./destroy-datasets.js";
import { type EmbeddedPool, noticesOf, openEmbeddedPool } from "./embedded-pool.js";
import { embeddedBookmarks } from "./kept-bookmarks.js";
import { prepareCopies } from "./prepared-copies.js";
import { embeddedReads } from "./reads.js";
import { findNewerThan } from "./roll-back-dataset.js";
import { catchStorageErrors } from "./storage-errors.js";
import { embeddedTransfers } from "./transfers.js";
import { embeddedSettings } from "./volume-tags.js";

/**
 * Opens the pool in a folder as a `Zfs`, or creates it there. `changes` counts every change of its
 * datasets from then on. Fails as openEmbeddedPool does.
 */
export async function openEmbeddedZfs(
  settings: EmbeddedSettings,
  log: ActorLog,
  changes?: ChangeCounter,
  trace?: Trace,
): Promise<Outcome<Zfs>> {
  const opened = await openEmbeddedPool(settings, log, trace);
  if (!opened.ok) return opened;
  if (changes) {
    // Nobody else changes the pool, so from now on an equal counter proves that nothing has changed.
    changes.count();
    opened.value.catalog.watch({ entered: () => {}, left: () => {}, settled: changes.count });
  }
  return succeed(createEmbeddedZfs(opened.value));
}

function createEmbeddedZfs(pool: EmbeddedPool): Zfs {
  const { catalog, files, accounting, receives } = pool;
  const changes = embeddedChanges(pool);
  return {
    driver: "embedded",
    ...embeddedReads(pool.name, catalog),
    ...embeddedSettings(pool.name, catalog),
    ...embeddedBookmarks(catalog),
    ...changes,
    ...embeddedTransfers(pool),
    // An image fetch that fails destroys its target, which may not be a dataset yet.
    async destroy(name, recursive) {
      const destroyed = await changes.destroy(name, recursive);
      const isGone = destroyed.ok || destroyed.failure.code === "dataset.not_found";
      if (isSnapshotName(name) || !isGone) return destroyed;
      const discarded = await catchStorageErrors(`cannot destroy '${name}'`, async () => {
        await receives.discardOrphans();
        return succeed(await receives.discard(name));
      });
      return discarded.ok ? destroyed : discarded;
    },
    quotaOf: (name) =>
      catchStorageErrors("what a guest takes can't be told", async () => {
        const below = catalog.subtree(name);
        if (below.length === 0) return failed.notFound;
        const used = doomedRecords(pool, below).reduce((sum, each) => sum + (each.used ?? 0n), 0n);
        return succeed({ quota: bytes(0), used: bytes(used) });
      }),
    findDoomed: (change) =>
      catchStorageErrors("what would be destroyed can't be told", async () =>
        "destroy" in change
          ? findDoomedDatasets(pool, change.destroy, change.recursive)
          : findNewerThan(pool, change.rollback, change.destroyMoreRecent),
      ),
    poolUsage: () =>
      catchStorageErrors("the pool's usage can't be told", async () => {
        const { allocated, free } = await accounting.usage();
        const size = bytes(allocated + free);
        return succeed({ size, allocated, free, health: "ONLINE", fragmentation: undefined });
      }),
    space: (_below, neededBytes) =>
      catchStorageErrors("the pool's space can't be told", async () =>
        succeed(await accounting.space(neededBytes)),
      ),
    // Its blocks divide 1 MiB, and so all sizes.
    volumeSize: (size) => size,
    // The catalog of an open pool is locked.
    claim: async () => succeed(null),
    // Its look-ups cost nothing, so none needs to be saved.
    changeState: async () => undefined,
    checkPool: async () => succeed({ health: "ONLINE", version: "imagestore embedded" }),
    // Every change makes the link before it answers, so there is nothing to wait for.
    waitForDevice: async () => true,
    devices: files.devices,
    commandsRun: 0,
    prepareCopies: (copying, onProgress) => prepareCopies(pool, copying, onProgress),
    cancelCopies: files.cancelCopies,
    notices: () => noticesOf(pool),
    async close() {
      files.cancelCopies();
      await catalog.close();
    },
  };
}
