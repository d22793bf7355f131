import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  isSnapshotName,
  type SnapshotName,
  snapshotNameOf,
} from "../../../protocol/storage/names.js";
import type { SendPlan } from "../../../protocol/storage/send-terms.js";
import type { DatasetInfo, Zfs } from "../../drivers/driver.js";

type Base = NonNullable<SendPlan["base"]>;

interface FoundVolume {
  /** Oldest first. */
  readonly snapshots: readonly DatasetInfo[];
  readonly bookmarks: readonly Base[];
}

/** Fails: dataset.not_found, dataset.wrong_type. */
async function findVolume(
  zfs: Pick<Zfs, "find" | "snapshotsOf" | "listBookmarks">,
  volume: DatasetName,
): Promise<Outcome<FoundVolume>> {
  // A guest may stand still meanwhile.
  const [found, snapshots, bookmarks] = await Promise.all([
    zfs.find(volume),
    zfs.snapshotsOf(volume),
    zfs.listBookmarks(volume),
  ]);
  if (!found.ok) return found;
  if (found.value === undefined) return failed.notFound;
  if (found.value.type !== "volume") return failed.notVolume;
  if (!snapshots.ok) return snapshots;
  return bookmarks.ok ? succeed({ snapshots: snapshots.value, bookmarks: bookmarks.value }) : bookmarks;
}

/** The newest of the receiver's snapshots of which `older` or a bookmark is left. */
function baseAmong(
  have: readonly string[],
  older: readonly DatasetInfo[],
  bookmarks: readonly Base[],
): Base | undefined {
  for (const guid of have) {
    const snapshot = older.find((each) => each.guid === guid);
    // A snapshot is held while it is sent from; a bookmark can't be.
    if (snapshot) return { name: snapshotNameOf(snapshot), guid };
    const bookmark = bookmarks.find((each) => each.guid === guid);
    if (bookmark) return bookmark;
  }
  return undefined;
}

/**
 * As GetSendPlan says of a snapshot that would be taken now.
 * Fails: dataset.not_found, dataset.wrong_type (no volume), and as the driver's reads do.
 */
export async function getNextPlan(
  zfs: Pick<Zfs, "find" | "snapshotsOf" | "listBookmarks" | "estimateSend" | "writtenNow">,
  volume: DatasetName,
  have: readonly string[],
): Promise<Outcome<SendPlan>> {
  const found = await findVolume(zfs, volume);
  if (!found.ok) return found;
  const { snapshots, bookmarks } = found.value;
  const base = baseAmong(have, snapshots, bookmarks);
  const newest = snapshots.at(-1);
  const [upToNewest, after] = await Promise.all([
    newest === undefined || newest.guid === base?.guid
      ? 0
      : zfs.estimateSend(snapshotNameOf(newest), { flags: ["compressed"], ...(base && { from: base.name }) }),
    zfs.writtenNow(volume),
  ]);
  const bytes = upToNewest === undefined || after === undefined ? null : upToNewest + after;
  return succeed({ name: volume, guid: "", isThere: false, base, bytes });
}

/** As GetSendPlan says. Fails: dataset.not_found, dataset.wrong_type (no volume), and as the driver's reads do. */
export async function getSendPlan(
  zfs: Pick<Zfs, "find" | "snapshotsOf" | "listBookmarks">,
  name: DatasetName | SnapshotName,
  have: readonly string[],
): Promise<Outcome<SendPlan>> {
  const volume = isSnapshotName(name) ? datasetOf(name) : name;
  const found = await findVolume(zfs, volume);
  if (!found.ok) return found;
  const { snapshots, bookmarks } = found.value;
  const at = isSnapshotName(name) ? snapshots.findIndex((each) => each.name === name) : snapshots.length - 1;
  const to = snapshots[at];
  if (!to)
    return isSnapshotName(name) ? failed.notFound : fail("dataset.not_found", `${volume} has no snapshot`);
  const { guid } = to;
  const older = snapshots.slice(0, at);
  // A bookmark may be of a snapshot that is newer than the one that is named.
  const newer = new Set(snapshots.slice(at).map((each) => each.guid));
  const usable = bookmarks.filter((each) => !newer.has(each.guid));
  return succeed({
    name: snapshotNameOf(to),
    guid,
    isThere: have.includes(guid),
    base: baseAmong(have, older, usable),
  });
}
