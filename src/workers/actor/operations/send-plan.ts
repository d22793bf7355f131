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

/** The snapshots of a volume, oldest first. Fails: dataset.not_found, dataset.wrong_type. */
async function findSnapshots(
  zfs: Pick<Zfs, "find" | "snapshotsOf">,
  volume: DatasetName,
): Promise<Outcome<readonly DatasetInfo[]>> {
  // A guest may stand still meanwhile.
  const [found, snapshots] = await Promise.all([zfs.find(volume), zfs.snapshotsOf(volume)]);
  if (!found.ok) return found;
  if (found.value === undefined) return failed.notFound;
  return found.value.type === "volume" ? snapshots : failed.notVolume;
}

/**
 * The newest of the receiver's snapshots of which `older` or a bookmark is left. A bookmark may also be of a snapshot
 * in `newer`, and is of no use then. Fails as the look for bookmarks does, which takes a guest's time: mostly it
 * need not be.
 */
async function baseAmong(
  zfs: Pick<Zfs, "listBookmarks">,
  volume: DatasetName,
  have: readonly string[],
  { older, newer }: { readonly older: readonly DatasetInfo[]; readonly newer: readonly DatasetInfo[] },
): Promise<Outcome<Base | undefined>> {
  let bookmarks: Awaited<ReturnType<Zfs["listBookmarks"]>> | undefined;
  for (const guid of have) {
    const snapshot = older.find((each) => each.guid === guid);
    // A snapshot is held while it is sent from; a bookmark can't be.
    if (snapshot) return succeed({ name: snapshotNameOf(snapshot), guid });
    bookmarks ??= await zfs.listBookmarks(volume);
    if (!bookmarks.ok) return bookmarks;
    const bookmark = bookmarks.value.find((each) => each.guid === guid);
    if (bookmark && !newer.some((each) => each.guid === guid)) return succeed(bookmark);
  }
  return succeed(undefined);
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
  const found = await findSnapshots(zfs, volume);
  if (!found.ok) return found;
  const snapshots = found.value;
  const among = await baseAmong(zfs, volume, have, { older: snapshots, newer: [] });
  if (!among.ok) return among;
  const base = among.value;
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
  const found = await findSnapshots(zfs, volume);
  if (!found.ok) return found;
  const snapshots = found.value;
  const at = isSnapshotName(name) ? snapshots.findIndex((each) => each.name === name) : snapshots.length - 1;
  const to = snapshots[at];
  if (!to)
    return isSnapshotName(name) ? failed.notFound : fail("dataset.not_found", `${volume} has no snapshot`);
  const { guid } = to;
  const around = { older: snapshots.slice(0, at), newer: snapshots.slice(at) };
  const base = await baseAmong(zfs, volume, have, around);
  if (!base.ok) return base;
  return succeed({ name: snapshotNameOf(to), guid, isThere: have.includes(guid), base: base.value });
}
