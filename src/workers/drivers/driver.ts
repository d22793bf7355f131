import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { BookmarkName, DatasetName, PoolName, SnapshotName } from "../../protocol/storage/names.js";
import { type Page, pageOf } from "../../protocol/storage/page.js";
import type { PoolSettings } from "../../protocol/storage/pool-settings.js";
import type { BookmarkRecord, DoomedRecord } from "../../protocol/storage/records.js";
import type { Bytes } from "../../protocol/storage/units.js";
import type {
  NewVolumeSettings,
  SettingChanges,
  VolumeSettings,
} from "../../protocol/storage/volume-settings.js";
import type { OpenedActor } from "../../protocol/threads/actor-contract.js";
import type { DatasetCounts } from "../../protocol/threads/actor-measures.js";
import type { ZfsTransfers } from "./transfers-of-driver.js";

export type AnyName = PoolName | DatasetName | SnapshotName;

/** A dataset with the properties of zfs-list(8) that have the same names. Sizes in bytes. */
export interface DatasetInfo {
  readonly name: AnyName;
  readonly type: "filesystem" | "volume" | "snapshot";
  readonly guid: string;
  /** The transaction group that created it: older datasets have smaller numbers. */
  readonly createtxg: bigint;
  /** The size of a volume, or of the volume that a snapshot was made of; zero for filesystems. */
  readonly volsize: Bytes;
  /** Bytes written since the previous snapshot. The drivers measure differently (docs/drivers.md). */
  readonly written: Bytes;
  /** The snapshot that a clone was made from. */
  readonly origin: SnapshotName | undefined;
}

/** What a look-up finds: numbers of transaction groups are in lists only. */
export type FoundDataset = Omit<DatasetInfo, "createtxg">;

/** What GetSnapshot and GetVolume answer, which costs less than all of a dataset. */
export interface SizedDataset extends Pick<DatasetInfo, "name" | "type"> {
  /** What a snapshot has written; the size of a volume; zero for filesystems. */
  readonly size: Bytes;
}

export function sizeOf({
  name,
  type,
  volsize,
  written,
}: Omit<FoundDataset, "guid" | "origin">): SizedDataset {
  return { name, type, size: type === "snapshot" ? written : volsize };
}

/** How the tags of all our holds begin, those of other runs included. */
export const HOLD_PREFIX = "imagestore:";

/** A dataset within `POOL/images` with the user properties that we set there; empty if unset. */
export interface MarkedVolume extends DatasetInfo {
  /** `imagestore:type`: the type of the image, as requested. */
  readonly imageType: string;
  /** `imagestore:fetch`: set on what we received. With it, a dataset with a partial name is ours to remove. */
  readonly fetchMark: string;
  /** `imagestore:trash`: the id of an image that was deleted. With it, a dataset with a name of the trash is ours to remove. */
  readonly trashMark: string;
  /** When it came into the pool, seconds since the epoch; of a snapshot, when it was made. */
  readonly created: number;
}

/** A pool as zpool-list(8) shows it. Sizes in bytes. */
export interface PoolUsage {
  readonly size: Bytes;
  readonly allocated: Bytes;
  readonly free: Bytes;
  readonly health: string;
  /** Of the free space, per cent; undefined where the pool doesn't know it. */
  readonly fragmentation: number | undefined;
}

export interface Space {
  readonly available: Bytes;
  /** By how much the thin volumes and clones of the pool may still grow. */
  readonly promised: Bytes;
}

/** A change that copies data where the driver can't share it. */
export type CopyingChange =
  | { readonly snapshot: SnapshotName; readonly recursive: boolean }
  | { readonly clone: SnapshotName; readonly target: DatasetName }
  | { readonly rollback: SnapshotName; readonly destroyMoreRecent: boolean };

/** A change that destroys datasets, as `destroy` and `rollback` make it. */
export type Destruction =
  | { readonly destroy: DatasetName | SnapshotName; readonly recursive: boolean }
  | { readonly rollback: SnapshotName; readonly destroyMoreRecent: boolean };

/** A copy of a volume's data that no dataset has yet. */
export interface PreparedCopy {
  readonly file: string;
  /** What it takes. */
  readonly allocated: Bytes;
}

/** The copies that were made for changes before they were begun. */
export interface PreparedCopies {
  /** Gives each copy once. `source`: the driver's own name of the data. Undefined: none is left. */
  take(source: string): PreparedCopy | undefined;
  /** Removes the copies that were not taken. Never rejects. */
  discard(): Promise<void>;
}

/** The daemon that wants to serve a pool. */
export interface PoolOwner {
  /** Unique to this run of the daemon. */
  readonly runId: string;
  /** The last run with the same records, which is over; undefined if there was none. */
  readonly earlierRunId: string | undefined;
  readonly dataDir: string;
}

/** What a list answers with: a page, of what is shown. It is sorted by name, as pageOf sorts. */
export interface Selection {
  readonly page: Page;
  readonly isShown: (info: Pick<DatasetInfo, "name">) => boolean;
}

/** The selection of a list that a driver has whole, in any order. */
export function selectFrom<T extends Pick<DatasetInfo, "name">>(
  list: readonly T[],
  { page, isShown }: Selection,
): readonly T[] {
  return pageOf(list.filter(isShown), ({ name }) => name, page);
}

/** `historyFile`: the kstat that tells changes of the pool, where main may read it. */
export type CheckedPool = Pick<OpenedActor, "health" | "version" | "historyFile">;

export type Properties = Readonly<Record<string, string>>;

/**
 * The seam between the operations and a driver, which keeps the datasets of one pool. Callers
 * pass full names that are checked. Expected failures are outcomes with the codes of
 * protocol/storage/failures.ts. A read shows the pool as it was at some moment after the call.
 */
export interface Zfs extends ZfsTransfers {
  /** Which driver this is. */
  readonly driver: PoolSettings["driver"];
  /** Checks that the pool can be used. Fails: pool.not_found, command.missing, command.not_permitted. */
  checkPool(): Promise<Outcome<CheckedPool>>;
  /**
   * Keeps other daemons from serving the pool until `close`. To be called once, after checkPool
   * and before any change. Fails: pool.unavailable, with who has the pool.
   */
  claim(owner: PoolOwner): Promise<Outcome<null>>;
  /** Stays equal while no dataset changes. Undefined: the pool can't tell. */
  changeState(): Promise<string | undefined>;
  /** Undefined: there is no such dataset. */
  find(name: AnyName): Promise<Outcome<FoundDataset | undefined>>;
  /** The same, for callers that need no more of it. */
  findSize(name: AnyName): Promise<Outcome<SizedDataset | undefined>>;
  /** All volumes of the pool, ordered by name, or what `select` says of them. */
  listVolumes(select?: Selection): Promise<Outcome<readonly DatasetInfo[]>>;
  /**
   * Snapshots of `root` and of everything below it, or what `select` says of them.
   * Fails: dataset.not_found.
   */
  listSnapshots(root: PoolName | DatasetName, select?: Selection): Promise<Outcome<readonly DatasetInfo[]>>;
  /** The snapshots with the tag of `name`, of its dataset and of everything below it. Fails: dataset.not_found. */
  snapshotsOfTag(name: SnapshotName): Promise<Outcome<readonly SizedDataset[]>>;
  /** Snapshots of one volume, oldest first. Fails: dataset.not_found. */
  snapshotsOf(volume: DatasetName): Promise<Outcome<readonly DatasetInfo[]>>;
  /** Whether nothing can be written to a volume. Fails: dataset.not_found. */
  isReadonly(volume: DatasetName): Promise<Outcome<boolean>>;
  /** The settings of a volume. Fails: dataset.not_found. */
  settingsOf(volume: DatasetName): Promise<Outcome<VolumeSettings>>;
  /** How much a dataset and all below it may take (0: no limit), and take. Fails: dataset.not_found, request.invalid. */
  quotaOf(name: DatasetName): Promise<Outcome<{ readonly quota: Bytes; readonly used: Bytes }>>;
  /** The values of a tag, by the names of the volumes that have it themselves. */
  volumesWithTag(tag: string): Promise<Outcome<ReadonlyMap<string, string>>>;
  /** The bookmarks of `root` and of everything below it. Fails: dataset.not_found. */
  listBookmarks(root: PoolName | DatasetName): Promise<Outcome<readonly BookmarkRecord[]>>;
  /**
   * What a change would destroy now, without bookmarks that go with their dataset. Fails as the change would,
   * as far as a look can tell; `dataset.not_found` also of a rollback's snapshot.
   */
  findDoomed(change: Destruction): Promise<Outcome<readonly DoomedRecord[]>>;
  /** Everything below POOL/images, snapshots included. */
  listImages(): Promise<Outcome<readonly MarkedVolume[]>>;
  /**
   * How many datasets the pool has, without a wait. OpenZFS keeps no such number: there it is what the last list
   * of all volumes had, and a count of the snapshots that is minutes old (docs/drivers.md).
   */
  counts(): DatasetCounts;
  /** The pool's size, what of it is used, and how it is. */
  poolUsage(): Promise<Outcome<PoolUsage>>;
  /**
   * `available`: for new data below `root`. `neededBytes`: if so much is surely there, the answer may be
   * older than the last writes of guests.
   */
  space(root: DatasetName, neededBytes?: bigint): Promise<Outcome<Space>>;

  /**
   * Copies what the changes will need, which may take hours: no lock may be held meanwhile. The
   * changes get the copies, copy what they lack themselves, and the caller discards the rest.
   */
  prepareCopies(changes: readonly CopyingChange[], onProgress?: () => void): Promise<Outcome<PreparedCopies>>;
  /** Ends all copying, now and later: it fails with service.stopping. */
  cancelCopies(): void;
  /** Creates the filesystem and missing parents, unless it exists. */
  ensureFilesystem(name: DatasetName): Promise<Outcome<null>>;
  /** The size that a new volume of `size` gets: whole blocks, rounded up. */
  volumeSize(size: Bytes): Bytes;
  /**
   * Creates missing parents too. Also succeeds if the volume exists, whatever its size and settings. With
   * a block size in `settings`, `size` must be whole blocks of it.
   */
  createVolume(name: DatasetName, size: Bytes, settings?: NewVolumeSettings): Promise<Outcome<null>>;
  /**
   * Changes settings of a volume. Where it fails half-way, some are changed: it may be repeated.
   * Fails: dataset.not_found, pool.no_space (thick), request.invalid (the driver has no such setting).
   */
  setProperties(volume: DatasetName, changes: SettingChanges): Promise<Outcome<null>>;
  /** Limits what a dataset and all below it may take; 0: no limit. Fails: request.invalid (the driver has none). */
  setQuota(name: DatasetName, quota: Bytes): Promise<Outcome<null>>;
  /** Sets user properties of a volume. Fails: dataset.not_found. */
  mark(volume: DatasetName, marks: Properties): Promise<Outcome<null>>;
  /**
   * Creates a snapshot; with `recursive`, of everything below too, all at the same moment.
   * @returns what the snapshot has written; undefined if only a look-up can say.
   */
  snapshot(
    name: SnapshotName,
    recursive: boolean,
    copies?: PreparedCopies,
  ): Promise<Outcome<Bytes | undefined>>;
  /** Creates missing parents too. May also succeed if `target` exists: check its origin. */
  clone(origin: SnapshotName, target: DatasetName, copies?: PreparedCopies): Promise<Outcome<null>>;
  /** Creates missing parents too if `makeParents`. */
  rename(from: DatasetName, to: DatasetName, makeParents?: boolean): Promise<Outcome<null>>;
  /**
   * Gives a clone the snapshot that it was made of, and those before it; the volume that had them
   * becomes a clone of it. Fails: dataset.not_found, dataset.wrong_type (no clone), dataset.exists (it has
   * a snapshot of the same name).
   */
  promote(clone: DatasetName): Promise<Outcome<null>>;
  /**
   * Gives a volume another size, rounded up to whole blocks of it. What is new reads as zeros, what is
   * behind a smaller size is lost. A thick volume stays thick.
   * Fails: dataset.not_found, dataset.read_only, pool.no_space.
   */
  resize(volume: DatasetName, size: Bytes): Promise<Outcome<null>>;
  /** Fails: dataset.not_found, dataset.has_clones, dataset.busy, snapshot.held. */
  destroy(name: DatasetName | SnapshotName, recursive: boolean): Promise<Outcome<null>>;
  rollback(name: SnapshotName, destroyMoreRecent: boolean, copies?: PreparedCopies): Promise<Outcome<null>>;
  /** Fails: dataset.not_found (the snapshot), dataset.exists. */
  bookmark(snapshot: SnapshotName, name: BookmarkName): Promise<Outcome<null>>;
  /** Fails: dataset.not_found. */
  destroyBookmark(name: BookmarkName): Promise<Outcome<null>>;
  hold(tag: string, name: SnapshotName): Promise<Outcome<null>>;
  /** @returns whether there was such a hold: false also if the snapshot or the dataset is missing. */
  release(tag: string, name: SnapshotName): Promise<Outcome<boolean>>;
  /** All holds in the pool whose tags begin with `prefix`. Slow: it reads every snapshot. */
  listHolds(prefix: string): Promise<Outcome<readonly { name: SnapshotName; tag: string }[]>>;

  /** The folder that holds the device of each volume under the volume's name; see devicePath. */
  readonly devices: string;
  /** Waits for the device of a volume. @returns false if it is still missing at the driver's time limit. */
  waitForDevice(volume: DatasetName): Promise<boolean>;
  /** Processes started so far; zero in a driver without processes. */
  readonly commandsRun: number;
  /** What the administrator has to look at, a line each; none of it keeps the pool from working. */
  notices(): Promise<readonly string[]>;
  /** Releases the pool, also after a claim that failed. No call may follow. */
  close(): Promise<void>;
}

/** For a driver that shares the blocks of snapshots and clones. */
export const sharedBlocks: Pick<Zfs, "prepareCopies" | "cancelCopies"> = {
  prepareCopies: async () => succeed({ take: () => undefined, discard: async () => {} }),
  cancelCopies: () => {},
};

/** The calls of a driver that change the pool, but for receives. */
export type ZfsChanges = Pick<
  Zfs,
  | "ensureFilesystem"
  | "createVolume"
  | "snapshot"
  | "clone"
  | "rename"
  | "promote"
  | "resize"
  | "setProperties"
  | "setQuota"
  | "mark"
  | "destroy"
  | "rollback"
  | "bookmark"
  | "destroyBookmark"
  | "hold"
  | "release"
>;
