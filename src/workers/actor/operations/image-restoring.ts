import { fail, failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  renamedSnapshot,
  snapshotNameOf,
} from "../../../protocol/storage/names.js";
import type { Ask } from "../../../protocol/storage/operations.js";
import type { CompleteImage, TrashedImage } from "../../../protocol/storage/records.js";
import type { FetchQueue } from "../fetch-queue.js";
import type { ActorContext } from "./context.js";
import { listTrash } from "./image-trash.js";
import { failPending, originIn } from "./present-images.js";

/** The image of the trash that is meant. Fails: image.not_found, request.invalid (several had the id). */
async function findTrashed(
  context: ActorContext,
  { id, volume }: Ask<"RestoreImage">,
): Promise<Outcome<TrashedImage>> {
  const listed = await listTrash(context, { type: "" });
  if (!listed.ok) return listed;
  const ofId = listed.value.filter((image) => image.id === id);
  const [first] = ofId;
  if (first === undefined) return tellAbout(failed.imageNotFound, { object: `image ${id} in the trash` });
  const meant = volume === undefined ? undefined : ofId.find((image) => image.volume === volume);
  if (meant) return succeed(meant);
  if (volume === undefined && ofId.length === 1) return succeed(first);
  const names = ofId.map((image) => image.volume).join(", ");
  const refused = fail("request.invalid", `volume: expected one of those of image ${id} in the trash`);
  return tellAbout(refused, {
    field: "volume",
    ...(volume !== undefined && { found: volume }),
    wanted: names,
  });
}

/**
 * Makes an image of the trash an image again. The rename is the step that counts: a start adopts what has the name of an
 * image and no record. The mark stays, and says nothing under that name.
 * Fails: image.not_found, request.invalid, dataset.exists, dataset.busy.
 */
export async function restoreFromTrash(
  context: ActorContext,
  fetches: FetchQueue<CompleteImage>,
  ask: Ask<"RestoreImage">,
): Promise<Outcome<CompleteImage>> {
  const { pool, locks } = context;
  if (fetches.has(ask.id)) return failPending(ask.id);
  const trashed = await findTrashed(context, ask);
  if (!trashed.ok) return trashed;
  const volume = childOf(pool, `images/${ask.id}`);
  const requests = [
    { name: trashed.value.volume, mode: "tree" },
    { name: volume, mode: "tree" },
  ] as const;
  // Its last clone may have gone while this call waited for the locks: then it is gone too.
  return locks.with(requests, () => restore(context, trashed.value, volume));
}

/** What builds on an image that is back has a record without it. A list that fails is made up for by the next start. */
async function tellLayers(
  { zfs, records }: Pick<ActorContext, "zfs" | "records">,
  base: DatasetName,
): Promise<void> {
  const listed = await zfs.listImages();
  for (const info of listed.ok ? listed.value : []) {
    const { origin } = originIn(info);
    if (origin === undefined || datasetOf(origin) !== base) continue;
    const layer = [...records.images.values()].find(({ volume }) => volume === info.name);
    if (layer && layer.origin !== origin) await records.putImage({ ...layer, origin });
  }
}

async function restore(
  { zfs, records, trash, log }: ActorContext,
  { id, type, size, volume: from }: TrashedImage,
  volume: DatasetName,
): Promise<Outcome<CompleteImage>> {
  const there = await zfs.find(volume);
  if (!there.ok) return there;
  if (there.value || records.images.has(id)) {
    const exists = fail("dataset.exists", `image ${id} is there again: delete that one first`);
    return tellAbout(exists, { object: volume });
  }
  const snapshots = await zfs.snapshotsOf(from);
  if (!snapshots.ok) {
    const isGone = snapshots.failure.code === "dataset.not_found";
    return isGone ? tellAbout(failed.imageNotFound, { object: `image ${id} in the trash` }) : snapshots;
  }
  const [oldest] = snapshots.value;
  if (!oldest) return tellAbout(failed.imageNotFound, { object: `image ${id} in the trash` });
  const renamed = await zfs.rename(from, volume);
  // A command without a clear end may have renamed it all the same.
  const done = renamed.ok ? renamed : await zfs.findSize(volume);
  if (!renamed.ok && !(done.ok && done.value)) return renamed;
  trash.delete(from);
  const snapshot = renamedSnapshot(snapshotNameOf(oldest), volume);
  const found = await zfs.find(volume);
  const origin = found.ok && found.value ? originIn(found.value) : {};
  const image: CompleteImage = { id, type, volume, ...origin, snapshot, size, status: "complete" };
  await records.putImage(image);
  await tellLayers({ zfs, records }, volume);
  log.info("an image is back from the trash", { image: id });
  return succeed(image);
}
