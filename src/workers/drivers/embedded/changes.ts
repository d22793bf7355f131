import { succeed } from "../../../protocol/storage/failures.js";
import type { ZfsChanges } from "../driver.js";
import { cloneSnapshot, createVolume, ensureFilesystem } from "./create-datasets.js";
import { destroyDatasets } from "./destroy-datasets.js";
import type { EmbeddedPool } from "./embedded-pool.js";
import { createBookmark, destroyBookmark } from "./kept-bookmarks.js";
import { promoteClone } from "./promote-clone.js";
import { renameDataset } from "./rename-dataset.js";
import { resizeVolume } from "./resize-volume.js";
import { rollBackDataset } from "./roll-back-dataset.js";
import { holdSnapshot, releaseSnapshot } from "./snapshot-holds.js";
import { takeSnapshot } from "./take-snapshot.js";
import { changeSettings, markVolume, noQuota } from "./volume-tags.js";

/**
 * The changes of an embedded pool. Each keeps this order: create files in `incoming/`, commit,
 * move them to `volumes/`, link, remove files that the commit discarded. So after a crash at
 * any moment two records tell what a file is, its place and the catalog: the next start
 * publishes, removes or links it, and deletes nothing on the word of the catalog alone.
 */
export function embeddedChanges(pool: EmbeddedPool): ZfsChanges {
  return {
    ensureFilesystem: (name) => ensureFilesystem(pool, name),
    createVolume: (name, volsize, settings) => createVolume(pool, name, volsize, settings),
    setProperties: (volume, changes) => changeSettings(pool, volume, changes),
    setQuota: async (_name, quota) => (quota === 0n ? succeed(null) : noQuota),
    mark: (volume, marks) => markVolume(pool, volume, marks),
    snapshot: (name, recursive, copies) => takeSnapshot(pool, name, recursive, copies),
    clone: (origin, target, copies) => cloneSnapshot(pool, origin, target, copies),
    rename: (from, to, makeParents) => renameDataset(pool, from, to, makeParents),
    promote: (clone) => promoteClone(pool, clone),
    resize: (volume, size) => resizeVolume(pool, volume, size),
    destroy: (name, recursive) => destroyDatasets(pool, name, recursive),
    rollback: (name, destroyMoreRecent, copies) => rollBackDataset(pool, name, destroyMoreRecent, copies),
    bookmark: (snapshot, name) => createBookmark(pool, snapshot, name),
    destroyBookmark: (name) => destroyBookmark(pool, name),
    hold: (tag, name) => holdSnapshot(pool, tag, name),
    release: (tag, name) => releaseSnapshot(pool, tag, name),
  };
}
