import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import {
  type DatasetName,
  type PoolName,
  renamedSnapshot,
  snapshotNameOf,
} from "../../protocol/storage/names.js";
import { isOfReceive, partialOf } from "../../protocol/storage/partial-name.js";
import { isOfTrash } from "../../protocol/storage/trash-name.js";
import type { DatasetInfo, MarkedVolume, Zfs } from "../drivers/driver.js";

/** Whether we may destroy a dataset as a partial receive: it has such a name and carries our mark. */
export function isOurPartial(info: MarkedVolume, pool: PoolName): boolean {
  const ours = info.name.startsWith(partialOf(pool, "")) && info.fetchMark !== "";
  return ours && info.type !== "snapshot";
}

/** Whether clients may see a dataset, snapshot or bookmark: partial receives are hidden, and what waits in the trash. */
export function isPublished({ name }: { readonly name: string }): boolean {
  return !isOfReceive(name) && !isOfTrash(name);
}

/** Destroys what an earlier receive has left. Fails: dataset.exists if it has no mark of ours. */
export async function removeLeftover(
  zfs: Pick<Zfs, "find" | "listImages" | "destroy">,
  pool: PoolName,
  partial: DatasetName,
): Promise<Outcome<null>> {
  const found = await zfs.find(partial);
  if (!found.ok) return found;
  if (found.value === undefined) return succeed(null);
  const images = await zfs.listImages();
  if (!images.ok) return images;
  const ours = images.value.some((info) => info.name === partial && isOurPartial(info, pool));
  if (!ours) return fail("dataset.exists", `${partial} is in the way and carries no mark of ours`);
  return zfs.destroy(partial, true);
}

/**
 * Gives what was received its own name. `snapshot` is one of it: a command without a clear end may have renamed
 * it all the same.
 */
export async function renameReceived(
  zfs: Pick<Zfs, "find" | "rename">,
  snapshot: DatasetInfo,
  { from, to, makeParents = false }: { from: DatasetName; to: DatasetName; makeParents?: boolean },
): Promise<Outcome<null>> {
  const renamed = await zfs.rename(from, to, makeParents);
  if (renamed.ok) return renamed;
  const found = await zfs.find(renamedSnapshot(snapshotNameOf(snapshot), to));
  return found.ok && found.value?.guid === snapshot.guid ? succeed(null) : renamed;
}
