import {
  type FailedOutcome,
  fail,
  failed,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  isWithin,
  type PoolName,
  type SnapshotName,
} from "../../../protocol/storage/names.js";
import type { CompleteImage } from "../../../protocol/storage/records.js";
import type { FoundDataset, Zfs } from "../../drivers/driver.js";
import type { FetchQueue } from "../fetch-queue.js";
import { isPublished } from "../partial-receive.js";
import type { Records } from "../record-file.js";

/** The records and the pool that must agree with each other. */
interface Images {
  readonly zfs: Pick<Zfs, "find">;
  readonly records: Pick<Records, "images" | "putImage" | "dropImage">;
}

/** What the record of an image says of the snapshot that its volume is a clone of. */
export function originIn({ origin }: Partial<Pick<FoundDataset, "origin">>): {
  readonly origin?: SnapshotName;
} {
  return origin !== undefined && isPublished({ name: origin }) ? { origin } : {};
}

/**
 * Finds an image by its record, and looks whether its snapshot is still there: others may destroy
 * it. The record of one that is gone is dropped; a size or an origin that has changed is corrected.
 * @returns undefined if there is no such image.
 */
export async function findImage(
  { zfs, records }: Images,
  id: string,
): Promise<Outcome<CompleteImage | undefined>> {
  const image = records.images.get(id);
  if (!image) return succeed(undefined);
  // What a layered image builds on may be renamed, or be in the trash by now.
  const [found, volume] = await Promise.all([
    zfs.find(image.snapshot),
    image.origin === undefined ? succeed(undefined) : zfs.find(image.volume),
  ]);
  if (!found.ok) return found;
  if (!volume.ok) return volume;
  // The record may have been replaced during the look: that one is newer than what was found.
  const current = records.images.get(id);
  if (current !== image) return succeed(current);
  if (found.value === undefined) {
    await records.dropImage(id);
    return succeed(undefined);
  }
  const { origin: before, ...others } = image;
  const now = originIn(volume.value ?? {});
  if (found.value.volsize === image.size && now.origin === before) return succeed(image);
  const corrected = { ...others, size: found.value.volsize, ...now };
  await records.putImage(corrected);
  return succeed(corrected);
}

/** Gets an image to clone. Fails: image.not_found; dataset.busy while the image is being fetched. */
export async function getCompleteImage(
  images: Images,
  fetches: FetchQueue<CompleteImage>,
  id: string,
): Promise<Outcome<CompleteImage>> {
  const image = await findImage(images, id);
  if (!image.ok) return image;
  if (image.value) return succeed(image.value);
  return fetches.has(id) ? failPending(id) : tellAbout(failed.imageNotFound, { object: `image ${id}` });
}

export function failPending(id: string): FailedOutcome {
  return fail("dataset.busy", `image ${id} is being fetched, try again when it is complete`);
}

/**
 * Drops the records of images in `root` or below it whose snapshot no longer exists, and corrects those of images
 * that build on what is there. To be called when something there was destroyed or renamed, or may have been.
 * @returns the ids of the dropped records.
 */
export async function forgetLostImages(
  images: Images,
  root: PoolName | DatasetName | SnapshotName,
): Promise<readonly string[]> {
  const concerned = [...images.records.images.values()].filter(
    ({ snapshot, origin = snapshot }) => isWithin(snapshot, root) || isWithin(origin, root),
  );
  await Promise.all(concerned.map(({ id }) => findImage(images, id)));
  return concerned.map(({ id }) => id).filter((id) => !images.records.images.has(id));
}
