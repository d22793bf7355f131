import type { Outcome } from "../../protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../protocol/storage/names.js";
import type { Bytes } from "../../protocol/storage/units.js";

export type AnyName = PoolName | DatasetName | SnapshotName;

/** A dataset as zfs-list(8) shows it. Sizes in bytes. */
export interface DatasetInfo {
  readonly name: AnyName;
  readonly type: "filesystem" | "volume" | "snapshot";
  readonly guid: string;
  readonly createtxg: bigint;
  /** Zero for what is no volume. */
  readonly volsize: Bytes;
  readonly written: Bytes;
  readonly origin: SnapshotName | undefined;
}

/** A child of `POOL/images` with the marks we left on it. */
export interface MarkedVolume extends DatasetInfo {
  /** `imagestore:type`, the image's type as it was requested. */
  readonly imageType: string;
  /** `imagestore:fetch`: received by us; what stays under a partial name is ours to remove. */
  readonly fetchMark: string;
}

export interface Space {
  readonly available: Bytes;
  /** What thin volumes and clones in the pool may still grow. */
  readonly promised: Bytes;
}

export type Properties = Readonly<Record<string, string>>;

/**
 * The seam between operations and a way to keep datasets. Every call answers with
 * an outcome; failures carry the codes of protocol/storage/failures.ts. Names are checked
 * and full. A read reflects a moment after it was asked for.
 */
export interface Zfs {
  /** Fails (pool.not_found, command.missing, command.not_permitted) unless the pool can be used. */
  checkPool(): Promise<Outcome<{ readonly health: string; readonly version: string }>>;
  find(name: AnyName): Promise<Outcome<DatasetInfo | undefined>>;
  /** Volumes of the pool, in the order of their names. */
  listVolumes(): Promise<Outcome<readonly DatasetInfo[]>>;
  /** Snapshots of `root` and all below it. Fails: dataset.not_found. */
  listSnapshots(root: PoolName | DatasetName): Promise<Outcome<readonly DatasetInfo[]>>;
  /** Snapshots of one volume, oldest first. */
  snapshotsOf(volume: DatasetName): Promise<Outcome<readonly DatasetInfo[]>>;
  /** Everything below POOL/images, snapshots included. */
  listImages(): Promise<Outcome<readonly MarkedVolume[]>>;
  /** Space below `root`. */
  space(root: DatasetName): Promise<Outcome<Space>>;

  ensureFilesystem(name: DatasetName): Promise<Outcome<null>>;
  /** Creates missing parents too. Succeeds when a volume of that name exists. */
  createVolume(name: DatasetName, size: Bytes): Promise<Outcome<null>>;
  /**
   * One atomic snapshot; with `recursive` of everything below too.
   * @returns what the snapshot has written, where that needs no look-up.
   */
  snapshot(name: SnapshotName, recursive: boolean): Promise<Outcome<Bytes | undefined>>;
  clone(origin: SnapshotName, target: DatasetName): Promise<Outcome<null>>;
  rename(from: DatasetName, to: DatasetName): Promise<Outcome<null>>;
  /** Fails: dataset.not_found, dataset.has_clones, dataset.busy, snapshot.held. */
  destroy(name: DatasetName | SnapshotName, recursive: boolean): Promise<Outcome<null>>;
  rollback(name: SnapshotName, destroyMoreRecent: boolean): Promise<Outcome<null>>;
  hold(tag: string, name: SnapshotName): Promise<Outcome<null>>;
  /** Succeeds when there is no such hold (any more). */
  release(tag: string, name: SnapshotName): Promise<Outcome<null>>;
  /** All holds with our tags in the pool. Slow: reads every snapshot. */
  listHolds(prefix: string): Promise<Outcome<readonly { name: SnapshotName; tag: string }[]>>;

  /** argv whose stdout is the stream of a snapshot. */
  sendCommand(name: SnapshotName): readonly string[];
  /** argv that makes `target` of the stream on its stdin. */
  receiveCommand(target: DatasetName, marks: Properties): readonly string[];
  /** Called when the last receiveCommand for `target` has ended well: now it must be found. */
  finishReceive(target: DatasetName): Promise<Outcome<null>>;
  /** The folder in which each volume has its device, under the volume's name (devicePath). */
  readonly devices: string;
  /** The device of a volume is there, or the patience for it is over (false). */
  waitForDevice(volume: DatasetName): Promise<boolean>;
  /** Processes started so far. */
  readonly commandsRun: number;
  /** Nothing may be asked afterwards. */
  close(): Promise<void>;
}
