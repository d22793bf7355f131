import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { DatasetName, PoolName } from "../../../protocol/storage/names.js";
import { type Page, pageOf } from "../../../protocol/storage/page.js";
import type { CompleteImage, TrashedImage } from "../../../protocol/storage/records.js";
import { trashOf } from "../../../protocol/storage/trash-name.js";
import type { MarkedVolume, Zfs } from "../../drivers/driver.js";
import type { ActorContext } from "./context.js";

/**
 * Images that were deleted while they had clones. Each step may be the last before a crash:
 * 1. The mark. Until the rename the image is one as before, and the mark says nothing.
 * 2. The rename, from which on it is in the trash. The record goes then, or at the next start.
 * 3. The destruction, which the pool itself refuses while there is a clone.
 */

/** The name of a dataset that we may destroy once it has no clones: one of the trash, which carries our mark. */
export function trashNameOf(
  { type, name, trashMark }: MarkedVolume,
  pool: PoolName,
): DatasetName | undefined {
  const prefix = trashOf(pool, "");
  const isOurs = type === "volume" && name.startsWith(prefix) && trashMark !== "";
  return isOurs ? trashOf(pool, name.slice(prefix.length)) : undefined;
}

/**
 * Puts an image into the trash, whose volume is locked in mode `tree`. Its record stays the caller's.
 * Fails: dataset.not_found.
 */
export async function putInTrash(
  { pool, zfs, trash, log }: ActorContext,
  { id, volume }: CompleteImage,
): Promise<Outcome<null>> {
  const found = await zfs.find(volume);
  if (!found.ok) return found;
  if (found.value === undefined) return failed.notFound;
  const target = trashOf(pool, found.value.guid);
  const marked = await zfs.mark(volume, { "imagestore:trash": id });
  if (!marked.ok) return marked;
  const renamed = await zfs.rename(volume, target);
  // A command without a clear end may have renamed it all the same.
  const there = renamed.ok ? renamed : await zfs.findSize(target);
  if (!renamed.ok && !(there.ok && there.value)) return renamed;
  trash.add(target);
  log.info("an image with clones is in the trash until they are gone", { image: id, volume: target });
  return succeed(null);
}

/** After these a volume stays in the trash: what is in the way will go, and then it is tried again. */
const WAITS: readonly string[] = ["dataset.has_clones", "snapshot.held"];

/**
 * Destroys what is in the trash and has no clones any more; takes the locks. To be called when clones or
 * holds may have gone. What can't be destroyed is logged: the next call tries again.
 */
export async function emptyTrash({
  zfs,
  locks,
  trash,
  log,
}: Pick<ActorContext, "locks" | "trash" | "log"> & { readonly zfs: Pick<Zfs, "destroy"> }): Promise<void> {
  // What a layered image builds on can go when that has gone.
  for (let before = trash.size + 1; trash.size > 0 && trash.size < before; ) {
    before = trash.size;
    await Promise.all(
      [...trash].map((volume) => locks.with([{ name: volume, mode: "tree" }], () => empty(volume))),
    );
  }

  async function empty(volume: DatasetName): Promise<void> {
    const destroyed = await zfs.destroy(volume, true);
    if (destroyed.ok || destroyed.failure.code === "dataset.not_found") {
      if (trash.delete(volume)) log.info("an image has left the trash", { volume });
    } else if (!WAITS.includes(destroyed.failure.code)) {
      log.warn("an image in the trash could not be destroyed; it is tried again", {
        volume,
        ...destroyed.failure,
      });
    }
  }
}

/** What is in the trash, as the pool has it, by the ids that the images had. One page has all of an id. */
export async function listTrash(
  { pool, zfs }: Pick<ActorContext, "pool" | "zfs">,
  { type, ...page }: { readonly type: string } & Page,
): Promise<Outcome<readonly TrashedImage[]>> {
  const listed = await zfs.listImages();
  if (!listed.ok) return listed;
  const found = listed.value.flatMap((info): TrashedImage[] => {
    const volume = trashNameOf(info, pool);
    const { imageType, trashMark: id, volsize: size } = info;
    if (volume === undefined || (type !== "" && imageType !== type)) return [];
    return [{ id, type: imageType, volume, size, status: "trash" }];
  });
  const ids = pageOf([...new Set(found.map(({ id }) => id))], (id) => id, page);
  return succeed(ids.flatMap((id) => found.filter((image) => image.id === id)));
}
