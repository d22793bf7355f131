import type { BookmarkName, DatasetName, PoolName, SnapshotName } from "./names.js";
import type { Bytes } from "./units.js";
import type { VolumeSettings } from "./volume-settings.js";

/** An image that can be cloned: the volume `POOL/images/ID` and its oldest snapshot. */
export interface CompleteImage {
  readonly id: string;
  readonly type: string;
  readonly volume: DatasetName;
  readonly snapshot: SnapshotName;
  /** Of a layered image: the snapshot that it is a clone of. Undefined also where that is in the trash. */
  readonly origin?: SnapshotName;
  readonly size: Bytes;
  readonly status: "complete";
}

/** An image that is being fetched, or waits for it. Type and size are not known: "" and zero. */
export interface PendingImage {
  readonly id: string;
  readonly type: string;
  readonly size: Bytes;
  readonly status: "pending";
}

/** An image that was deleted while it had clones. Its volume goes when the last of them is gone. */
export interface TrashedImage {
  /** That it had. Others in the trash may have had the same, and an image may have it now. */
  readonly id: string;
  readonly type: string;
  readonly volume: DatasetName;
  readonly size: Bytes;
  readonly status: "trash";
}

export type ImageRecord = PendingImage | CompleteImage | TrashedImage;

export interface VolumeRecord {
  readonly name: DatasetName | SnapshotName | PoolName;
  /** volsize; zero if `name` is a filesystem. */
  readonly size: Bytes;
  readonly device: string;
  /** Only in answers of methods that are about them. */
  readonly settings?: VolumeSettings;
}

/** A copy of another daemon's volume, or what came of a client's stream. */
export interface PulledVolume {
  readonly volume: VolumeRecord;
  /** Its newest snapshot, which the source has too. */
  readonly snapshot: SnapshotName;
  readonly guid: string;
  /** Bytes of the streams that came; zero if it had all. */
  readonly received: number;
  /** Whether a stream came that built on nothing. */
  readonly wasFull: boolean;
  /** What was in the way of a client's stream, and is gone: full names, and what else was lost. */
  readonly destroyed?: readonly string[];
  /** Of a dry run of a migration: what it would do. */
  readonly plan?: MigrationPlan;
}

/** What a step of a migration would do. All names are those of the peer. */
export interface MigrationPlan {
  readonly peer: string;
  /** The volume. */
  readonly source: string;
  /** What the stream would build on, which the copy has; undefined: nothing, so all would come. */
  readonly base: { readonly id: string; readonly guid: string } | undefined;
  /** About how many bytes would come; undefined: the peer can't tell. */
  readonly estimatedBytes: number | undefined;
  /** The snapshot that would be taken, or the first of them; undefined where there is one behind a fence. */
  readonly snapshot: string | undefined;
  /** Whether the source would be fenced: false if it is, and where it is not asked for. */
  readonly fences: boolean;
  /** Snapshots of earlier rounds that would go at the peer. */
  readonly drops: readonly string[];
}

/** A receive into a volume. */
export interface ReceiveRecord {
  readonly name: DatasetName;
  /** `broken`: it can go on, by its token. */
  readonly state: "none" | "receiving" | "broken";
  readonly token: string | undefined;
  /** How many bytes of its stream the pool has; undefined where that is not known. */
  readonly bytes: number | undefined;
}

export interface SnapshotRecord {
  readonly name: SnapshotName;
  /** Bytes written since the previous snapshot. */
  readonly written: Bytes;
}

/** What is left of a snapshot to send increments from, also when the snapshot is gone. */
export interface BookmarkRecord {
  readonly name: BookmarkName;
  /** That of the snapshot. */
  readonly guid: string;
  /** When the snapshot was made: seconds since the epoch. */
  readonly created: number;
}

/** What a destroying change destroys, told by a dry run. */
export interface DoomedRecord {
  /** Of a dataset, a snapshot or a bookmark, in full. */
  readonly name: string;
  /** Bytes. What it takes alone, and gives back; undefined where that is not known. */
  readonly used: Bytes | undefined;
}

/** A backup of a snapshot, as its manifest says. Its members are those of its JSON but for the sizes. */
export interface BackupRecord {
  /** The name of its objects in the store, without their endings: `POOLGUID/DATASETGUID/TOGUID.full`. */
  readonly id: string;
  /** The snapshot, as it was called then. */
  readonly snapshot: string;
  readonly guid: string;
  /** The guid of the snapshot that it builds on; null for a full one. */
  readonly from: string | null;
  /** Of the stream. */
  readonly bytes: number;
  /** Of the volume. */
  readonly volsize: Bytes;
  /** RFC 3339: when the snapshot was made, and when the backup was. */
  readonly created: string;
  readonly taken: string;
  readonly sha256: string;
  /** Whether all that it builds on is listed. */
  readonly isWhole: boolean;
  /** Whether what is stored is encrypted, so that a restore needs an identity. */
  readonly isEncrypted: boolean;
}

/** What a BackupSnapshot has done. */
export interface MadeBackup {
  readonly backup: BackupRecord;
  /** Why it is as it is: `first`, `asked`, `fullEvery`, `baseLost`, `increment`, or `present` for one that was there. */
  readonly why: "first" | "asked" | "fullEvery" | "baseLost" | "increment" | "present";
  /** What somebody should know, a sentence each. */
  readonly warnings: readonly string[];
}

export interface CheckedBackups {
  readonly backups: readonly BackupRecord[];
  /** Of all their data. */
  readonly bytes: number;
}

/** A volume that was made of a backup. */
export interface RestoredVolume extends VolumeRecord {
  /** Of a dry run: the links that it would be made of, the full backup first. */
  readonly chain?: CheckedBackups;
}

export interface PrunedBackups {
  /** Those that are gone, or would be. */
  readonly backups: readonly BackupRecord[];
  /** Objects of backups that did not end, which are gone too, or would be. */
  readonly leftovers: readonly string[];
  readonly dryRun: boolean;
}

/** A page of the backups of a profile. */
export interface ListedBackups {
  readonly backups: readonly BackupRecord[];
  /** Ids of those whose manifests can't be used. */
  readonly damaged: readonly string[];
}

/** A disk of a guest. */
export interface DiskRecord {
  readonly bus: string;
  readonly device: string;
  readonly size: Bytes;
  readonly volume: string;
  /** The id of the image that the disk is cloned from; "" for a disk that starts empty. */
  readonly image: string;
  /** The path of the volume's device, set by CreateGuestDisks. */
  readonly source: string;
}

/** A guest of a request. `rest` has the members that the reply repeats unchanged, as JSON text. */
export interface GuestRecord {
  readonly id: string;
  readonly disks: readonly DiskRecord[];
  readonly rest: Readonly<Record<string, string>>;
}

/** How much all disks of a guest may take together, with their snapshots. Bytes. */
export interface QuotaRecord {
  readonly name: DatasetName;
  /** 0: there is none. */
  readonly quota: Bytes;
  readonly used: Bytes;
}

/** A pool as zpool-list(8) shows it, with the space for guests' disks. Sizes in bytes. */
export interface PoolRecord {
  readonly name: PoolName;
  readonly driver: "openzfs" | "embedded";
  /** `allocated` and `free` together. */
  readonly size: Bytes;
  readonly allocated: Bytes;
  readonly free: Bytes;
  /** How much of `free` new data below POOL/guests can use, after quotas, reservations and redundancy. */
  readonly available: Bytes;
  /** By how much the thin volumes and clones of the pool may still grow. */
  readonly promised: Bytes;
  /** `ONLINE`, `DEGRADED`, … as zpool calls it. */
  readonly health: string;
  /** Fragmentation of the free space in per cent. Undefined if the pool doesn't report it. */
  readonly fragmentation: number | undefined;
}
