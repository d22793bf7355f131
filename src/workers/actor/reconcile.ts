import { failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  type PoolName,
  parseComponentId,
  type SnapshotName,
} from "../../protocol/storage/names.js";
import type { CompleteImage } from "../../protocol/storage/records.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { MarkedVolume, Zfs } from "../drivers/driver.js";
import { readOriginal } from "./original-database.js";
import type { Records } from "./record-file.js";

/** What a start found and mended; every entry is logged. */
export interface ReconcileReport {
  readonly images: number;
  readonly imported: readonly string[];
  readonly adopted: readonly string[];
  readonly dropped: readonly string[];
  readonly partialsRemoved: readonly string[];
  readonly holdsReleased: number;
}

/** Names under which a fetch receives, before the image is published by rename. */
export const PARTIAL_PREFIX = ".partial-";
/** The begin of every tag that we hold snapshots under. */
export const HOLD_PREFIX = "imagestore:";

export function partialOf(pool: PoolName, id: string): DatasetName {
  return childOf(pool, `images/${PARTIAL_PREFIX}${id}`);
}

/** A received partial is ours: it lies where we receive and carries our mark. */
export function isOurPartial(info: MarkedVolume, pool: PoolName): boolean {
  const ours = info.name.startsWith(partialOf(pool, "")) && info.fetchMark !== "";
  return ours && info.type !== "snapshot";
}

/**
 * Makes the records agree with the pool, which is the truth: adopts complete images
 * that are not recorded, drops records whose snapshot is gone, removes our own
 * partial receives and holds, and imports the original's database once.
 */
export async function reconcile(options: {
  readonly pool: PoolName;
  readonly zfs: Zfs;
  readonly records: Records;
  readonly log: ActorLog;
  readonly originalDatabase: string | undefined;
  /** Holds of downloads that are still running: not ours to release. */
  readonly liveTags: readonly string[];
}): Promise<Outcome<ReconcileReport>> {
  const { pool, zfs, records, log } = options;
  const imagesRoot = childOf(pool, "images");
  const listed = await zfs.listImages();
  if (!listed.ok) return listed;

  const partialsRemoved: string[] = [];
  for (const info of listed.value.filter((each) => isOurPartial(each, pool))) {
    const destroyed = await zfs.destroy(info.name as DatasetName, true);
    if (destroyed.ok) partialsRemoved.push(info.name);
    else log.warn("a partial receive could not be removed", { dataset: info.name, ...destroyed.failure });
  }

  const imported = await importOriginal(options);

  const dropped: string[] = [];
  const recorded = [...records.images.values()];
  const present = await Promise.all(recorded.map(({ snapshot }) => zfs.find(snapshot)));
  for (const [index, { id }] of recorded.entries()) {
    const found = present[index];
    if (!found?.ok) return found ?? failed.notFound;
    if (found.value !== undefined) continue;
    await records.dropImage(id);
    dropped.push(id);
  }

  const adopted: string[] = [];
  for (const image of completeImages(listed.value, imagesRoot)) {
    if (records.images.has(image.id)) continue;
    await records.putImage(image);
    adopted.push(image.id);
  }

  const holdsReleased = await sweepHolds(options);
  const report = {
    images: records.images.size,
    imported,
    adopted,
    dropped,
    partialsRemoved,
    holdsReleased,
  };
  log.info("the records agree with the pool", report);
  return succeed(report);
}

/** Volumes directly below POOL/images that have a snapshot; the oldest snapshot is the image. */
export function completeImages(listed: readonly MarkedVolume[], imagesRoot: string): CompleteImage[] {
  const oldest = new Map<string, MarkedVolume>();
  for (const info of listed) {
    if (info.type !== "snapshot") continue;
    const volume = info.name.slice(0, info.name.indexOf("@"));
    const other = oldest.get(volume);
    if (!other || info.createtxg < other.createtxg) oldest.set(volume, info);
  }
  const images: CompleteImage[] = [];
  for (const info of listed) {
    const id = info.name.slice(imagesRoot.length + 1);
    const snapshot = oldest.get(info.name);
    if (info.type !== "volume" || !snapshot || !parseComponentId(id).ok || id.includes("/")) continue;
    images.push({
      id,
      type: info.imageType,
      volume: info.name as DatasetName,
      snapshot: snapshot.name as SnapshotName,
      size: snapshot.volsize,
      status: "complete",
    });
  }
  return images;
}

async function importOriginal(options: {
  readonly pool: PoolName;
  readonly records: Records;
  readonly log: ActorLog;
  readonly originalDatabase: string | undefined;
}): Promise<string[]> {
  const { records, log, originalDatabase: path } = options;
  if (path === undefined || (await records.importDone())) return [];
  try {
    const original = await readOriginal(path, options.pool);
    if (original === undefined) return [];
    for (const skipped of original.skipped)
      log.warn("a record of the original is skipped", { path, ...skipped });
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

/** Releases what downloads of an earlier run held. Without a record file, every snapshot is looked at. */
async function sweepHolds(options: {
  readonly zfs: Zfs;
  readonly records: Records;
  readonly log: ActorLog;
  readonly liveTags: readonly string[];
}): Promise<number> {
  const { zfs, records, log, liveTags } = options;
  const known = await records.holds();
  const listed = records.isNew ? await zfs.listHolds(HOLD_PREFIX) : succeed(known);
  if (!listed.ok) {
    log.warn("holds of an earlier run can't be listed", { ...listed.failure });
    return 0;
  }
  let released = 0;
  for (const hold of listed.value.filter(({ tag }) => !liveTags.includes(tag))) {
    const outcome = await zfs.release(hold.tag, hold.name);
    if (outcome.ok) {
      released++;
      await records.dropHold(hold);
    } else log.warn("a hold of an earlier run can't be released", { ...hold, ...outcome.failure });
  }
  return released;
}
