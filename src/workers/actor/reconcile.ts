import { failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type PoolName,
  parseComponentId,
  type SnapshotName,
} from "../../protocol/storage/names.js";
import type { CompleteImage } from "../../protocol/storage/records.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import { HOLD_PREFIX, type MarkedVolume, type Zfs } from "../drivers/driver.js";
import { isCopySnapshot } from "./operations/copy-snapshots.js";
import { trashNameOf } from "./operations/image-trash.js";
import { originIn } from "./operations/present-images.js";
import { readOriginalImages } from "./original-database.js";
import { isOurPartial } from "./partial-receive.js";
import type { HoldRecord, Records } from "./record-file.js";

/** What a start found and repaired; it is logged as it is here. */
export interface ReconcileReport {
  /** How many images the pool has. */
  readonly images: number;
  /** Ids of images whose records came from the original's database. */
  readonly imported: readonly string[];
  /** Ids of images that were in the pool and not in the records. */
  readonly adopted: readonly string[];
  /** Ids of records whose snapshot is missing. */
  readonly dropped: readonly string[];
  /** Names of the datasets that were destroyed. */
  readonly partialsRemoved: readonly string[];
  /** Names of those that were destroyed since their last clone was gone. */
  readonly trashRemoved: readonly string[];
  readonly holdsReleased: number;
}

interface ReconcileOptions {
  readonly pool: PoolName;
  readonly zfs: Zfs;
  readonly records: Records;
  readonly log: ActorLog;
  /** Path of the database of mistify-agent-image; undefined: there is none. */
  readonly originalDatabase: string | undefined;
  /** Tags of holds of downloads that still run: these are not released. */
  readonly liveTags: readonly string[];
  /** Is given the volumes that stay in the trash. */
  readonly trash: Set<DatasetName>;
  /** Is given the holds that could not be released. */
  releaseLater(hold: HoldRecord): void;
  /** Unique to this run of the daemon, and the same after a restart of its actor. */
  readonly runId: string;
}

/**
 * Makes the records agree with the pool, which is the truth: destroys our partial receives,
 * imports the original's database once, drops records whose snapshot is missing, adopts
 * complete images without a record, and releases holds of earlier runs.
 * Fails when the pool can't be read; what can't be removed is logged and left.
 */
export async function reconcile(options: ReconcileOptions): Promise<Outcome<ReconcileReport>> {
  const { zfs, records, log } = options;
  const listed = await zfs.listImages();
  if (!listed.ok) return listed;
  const partialsRemoved = await removePartials(options, listed.value);
  const trashRemoved = await removeTrash(options, listed.value);
  const imported = await importOriginal(options);
  const dropped = await dropRecordsWithoutSnapshot(options);
  if (!dropped.ok) return dropped;
  const adopted = await adoptImages(options, listed.value);
  const holdsReleased = await releaseEarlierHolds(options);
  const report = {
    images: records.images.size,
    imported,
    adopted,
    dropped: dropped.value,
    partialsRemoved,
    trashRemoved,
    holdsReleased,
  };
  log.info("the records agree with the pool", report);
  return succeed(report);
}

/** Destroys what interrupted fetches have left. @returns the names. */
async function removePartials(
  { pool, zfs, log }: ReconcileOptions,
  listed: readonly MarkedVolume[],
): Promise<string[]> {
  const removed: string[] = [];
  for (const info of listed) {
    if (!isOurPartial(info, pool)) continue;
    const destroyed = await zfs.destroy(info.name as DatasetName, true);
    if (destroyed.ok) removed.push(info.name);
    else log.warn("a partial receive could not be removed", { dataset: info.name, ...destroyed.failure });
  }
  return removed;
}

/** Destroys what is in the trash and has no clones any more. @returns the names. */
async function removeTrash(
  { pool, zfs, log, trash }: ReconcileOptions,
  listed: readonly MarkedVolume[],
): Promise<string[]> {
  const removed: string[] = [];
  let left = listed.flatMap((info) => trashNameOf(info, pool) ?? []);
  // What a layered image builds on can go when that has gone.
  for (let before = left.length + 1; left.length > 0 && left.length < before; ) {
    before = left.length;
    const stay: DatasetName[] = [];
    for (const volume of left) {
      const destroyed = await zfs.destroy(volume, true);
      if (destroyed.ok) removed.push(volume);
      else stay.push(volume);
      if (!destroyed.ok) log.debug("an image stays in the trash", { volume, ...destroyed.failure });
    }
    left = stay;
  }
  for (const volume of left) trash.add(volume);
  return removed;
}

/** Imports the records of mistify-agent-image, in the first start that can read them. @returns the ids. */
async function importOriginal({
  pool,
  records,
  log,
  originalDatabase: path,
}: ReconcileOptions): Promise<string[]> {
  if (path === undefined || (await records.importDone())) return [];
  try {
    const original = await readOriginalImages(path, pool);
    if (original === undefined) return [];
    for (const skipped of original.skipped) {
      log.warn("a record of the original is skipped", { path, ...skipped });
    }
    const fresh = original.images.filter((image) => !records.images.has(image.id));
    for (const image of fresh) await records.putImage(image);
    await records.markImportDone();
    log.info("the original's records are imported", { path, images: fresh.length });
    return fresh.map((image) => image.id);
  } catch (error) {
    log.error("the original's database can't be read; tried again at the next start", {
      path,
      error: String(error),
    });
    return [];
  }
}

/** @returns the ids of the dropped records. */
async function dropRecordsWithoutSnapshot({ zfs, records }: ReconcileOptions): Promise<Outcome<string[]>> {
  const dropped: string[] = [];
  const recorded = [...records.images.values()];
  const snapshots = await Promise.all(recorded.map(({ snapshot }) => zfs.findSize(snapshot)));
  for (const [index, { id }] of recorded.entries()) {
    const found = snapshots[index];
    if (!found?.ok) return found ?? failed.notFound;
    if (found.value !== undefined) continue;
    await records.dropImage(id);
    dropped.push(id);
  }
  return succeed(dropped);
}

/** Records complete images that have no record, and what they build on: the file of the records has no origins. @returns the ids of those that had no record. */
async function adoptImages(
  { pool, records }: ReconcileOptions,
  listed: readonly MarkedVolume[],
): Promise<string[]> {
  const adopted: string[] = [];
  for (const image of completeImages(listed, childOf(pool, "images"))) {
    const known = records.images.get(image.id);
    if (known && image.origin === undefined) continue;
    await records.putImage(known ? { ...known, ...originIn(image) } : image);
    if (!known) adopted.push(image.id);
  }
  return adopted;
}

type ListedSnapshot = MarkedVolume & { readonly name: SnapshotName };

/** The oldest snapshot of each volume in a listing, by the volume's name. */
function oldestSnapshots(listed: readonly MarkedVolume[]): Map<string, ListedSnapshot> {
  const oldest = new Map<string, ListedSnapshot>();
  for (const info of listed) {
    const { name } = info;
    if (!isSnapshotName(name)) continue;
    const volume = datasetOf(name);
    const other = oldest.get(volume);
    if (!other || info.createtxg < other.createtxg) oldest.set(volume, { ...info, name });
  }
  return oldest;
}

/** The volumes directly below POOL/images that have a snapshot. Clones are made of the oldest. */
function completeImages(listed: readonly MarkedVolume[], imagesRoot: DatasetName): CompleteImage[] {
  const oldest = oldestSnapshots(listed);
  const images: CompleteImage[] = [];
  for (const info of listed) {
    const id = info.name.slice(imagesRoot.length + 1);
    const snapshot = oldest.get(info.name);
    if (info.type !== "volume" || !snapshot || !parseComponentId(id).ok || id.includes("/")) continue;
    images.push({
      id,
      type: info.imageType,
      volume: childOf(imagesRoot, id),
      snapshot: snapshot.name,
      size: snapshot.volsize,
      ...originIn(info),
      status: "complete",
    });
  }
  return images;
}

/**
 * Releases the holds of downloads that an earlier run did not finish: first those that are
 * recorded, then, once in each run of the daemon, every hold in the pool with a tag of ours. The
 * second look, which is slow, finds what the records lost and what a rename has moved.
 * @returns how many.
 */
async function releaseEarlierHolds(options: ReconcileOptions): Promise<number> {
  const { zfs, records, log, runId } = options;
  const recorded = await records.holds();
  const first = await releaseAll(options, recorded);
  if (first.missing.length === 0 && (await records.holdsSweptBy()) === runId) return first.released;
  const listed = await zfs.listHolds(HOLD_PREFIX);
  if (!listed.ok) {
    log.warn("holds of an earlier run can't be listed; tried again at the next start", { ...listed.failure });
    return first.released;
  }
  const second = await releaseAll(options, listed.value);
  for (const hold of first.missing) {
    if (!listed.value.some(({ tag }) => tag === hold.tag)) await records.dropHold(hold);
  }
  if (second.isComplete) await records.markHoldsSwept(runId);
  return first.released + second.released;
}

async function removeSnapshot(zfs: Zfs, name: SnapshotName, log: ActorLog): Promise<void> {
  const destroyed = await zfs.destroy(name, false);
  if (destroyed.ok) log.info("the snapshot of a copy that was cut off is removed", { name });
  else if (destroyed.failure.code !== "dataset.not_found")
    log.warn("the snapshot of a copy can't be removed", { name, ...destroyed.failure });
}

interface Released {
  readonly released: number;
  /** Holds that are not there under this name. */
  readonly missing: readonly HoldRecord[];
  /** No release failed. */
  readonly isComplete: boolean;
}

/** Releases the holds whose downloads don't run any more. */
async function releaseAll(
  { zfs, records, log, liveTags, releaseLater }: ReconcileOptions,
  holds: readonly HoldRecord[],
): Promise<Released> {
  let released = 0;
  let isComplete = true;
  const missing: HoldRecord[] = [];
  for (const hold of holds.filter(({ tag }) => !liveTags.includes(tag))) {
    const outcome = await zfs.release(hold.tag, hold.name);
    // Made for a copy that has not ended. The name is ours, and so is the hold or its record.
    if (outcome.ok && isCopySnapshot(hold.name)) await removeSnapshot(zfs, hold.name, log);
    if (!outcome.ok) {
      isComplete = false;
      log.warn("a hold of an earlier run can't be released; it is tried again", {
        ...hold,
        ...outcome.failure,
      });
      // Nothing changes there until the next import, which is a start.
      if (outcome.failure.code !== "pool.read_only") releaseLater(hold);
    } else if (outcome.value) {
      released++;
      await records.dropHold(hold);
    } else missing.push(hold);
  }
  return { released, missing, isComplete };
}
