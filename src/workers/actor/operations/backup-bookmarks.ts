import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type BookmarkName,
  bookmarkOf,
  datasetOf,
  type SnapshotName,
} from "../../../protocol/storage/names.js";
import type { ActorContext } from "./context.js";

/**
 * What the bookmarks of a profile's backups begin with. The guid of the snapshot follows: so no other bookmark has
 * the name, unless somebody means to.
 */
const markPrefix = (profile: string) => `imagestore-backup-${profile}-`;

/**
 * Keeps a bookmark of the snapshot that was backed up, and only then removes those of older ones: as long as its
 * manifest is in the store, there is something to build on, whenever this ends. One of a newer snapshot stays.
 */
export async function advanceBookmark(
  { zfs, locks, log }: Pick<ActorContext, "zfs" | "locks" | "log">,
  profile: string,
  snapshot: SnapshotName,
  guid: string,
): Promise<Outcome<null>> {
  const dataset = datasetOf(snapshot);
  const name = bookmarkOf(dataset, `${markPrefix(profile)}${guid}`);
  if (!name.ok) return name;
  return locks.with([{ name: dataset, mode: "one" }], async () => {
    const listed = await zfs.listBookmarks(dataset);
    if (!listed.ok) return listed;
    const ours = listed.value
      .map((each) => each.name)
      .filter((each) => each.startsWith(`${dataset}#${markPrefix(profile)}`) && each !== name.value);
    const older: BookmarkName[] = [];
    let hasNewer = false;
    for (const each of ours) {
      const base = await zfs.findBase(snapshot, { from: each });
      if (!base.ok) return base;
      if (base.value?.isOlder) older.push(each);
      else hasNewer = true;
    }
    if (hasNewer) return succeed(null);
    const made = await zfs.bookmark(snapshot, name.value);
    if (!made.ok && made.failure.code !== "dataset.exists") return made;
    for (const each of older) {
      const destroyed = await zfs.destroyBookmark(each);
      // The next backup tries again.
      if (!destroyed.ok) log.warn("a bookmark of an older backup could not be removed", { bookmark: each });
    }
    return succeed(null);
  });
}
