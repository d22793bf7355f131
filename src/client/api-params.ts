/** Made from the definitions of the methods by `npm run docs:api`: not to be changed by hand. */

import type { GuestInput } from "./api-records.js";

/** The parameters of ListImages. */
export interface ListImagesParams {
  /** Only images of this type. */
  readonly type?: string | undefined;
  /** Only those that were deleted with `whenInUse` and still have clones. Several may have had one id; a page has all of an id. */
  readonly trash?: boolean | undefined;
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the image's id. */
  readonly after?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of GetImage. */
export interface GetImageParams {
  /** The image's id. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of RequestImage. */
export interface RequestImageParams {
  /** The image's id. */
  readonly id: string;
  /** A property of the image: at most 1024 printable characters. */
  readonly type?: string | undefined;
  /** The URL to fetch it from, where the configuration allows its host. Else the image service has it. */
  readonly source?: string | undefined;
  /** Instead of `source`: up to 16 URLs that are tried in order. One that fails for good is left for the next. With a `digest` the next one goes on where it broke, else it begins anew. */
  readonly sources?: readonly string[] | undefined;
  /** The SHA-256 that its bytes must have as they are transferred, gzipped or not: `sha256:` and 64 hexadecimal digits, or these alone. Not looked at where the pool has the image. */
  readonly digest?: string | undefined;
  /** How many bytes must be transferred; 0 or none for any number. Not looked at where the pool has the image. In bytes. */
  readonly size?: number | undefined;
  /** Of a layered image, an incremental stream: the image of the same pool that it builds on, as `ID`, or `ID@SNAPSHOT` where that is not the snapshot that is cloned. It shares the data of that one. Not looked at where the pool has the image. */
  readonly origin?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of DeleteImage. */
export interface DeleteImageParams {
  /** The image's id. */
  readonly id: string;
  /** What becomes of an image with clones. Without it that is refused. */
  readonly whenInUse?: "refuse" | "trash" | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of PruneImages. */
export interface PruneImagesParams {
  /** Only images that came into the pool so long ago. In s. */
  readonly olderThanSeconds?: number | undefined;
  /** Only images that were used last so long ago. In s. */
  readonly unusedForSeconds?: number | undefined;
  /** Only images of this type. */
  readonly type?: string | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of RestoreImage. */
export interface RestoreImageParams {
  /** The id that the image had. */
  readonly id: string;
  /** Which of several images that had this id: its `volume`, as ListImages tells it of the trash. */
  readonly volume?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of CloneImage. */
export interface CloneImageParams {
  /** The image's id. */
  readonly id: string;
  /** The name of the new volume, without the pool or with it. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of ListVolumes. */
export interface ListVolumesParams {
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the volume's name. */
  readonly after?: string | undefined;
  /** Only volumes that have the tag `NAME`, or `NAME=VALUE`. */
  readonly tag?: string | undefined;
  /** Only clones of this snapshot, or of any snapshot of this volume. */
  readonly origin?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of CreateVolume. */
export interface CreateVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The size: 1 MiB or more. In MiB. */
  readonly size: number;
  /** The size of its blocks: a power of two from 4096 to 131072. In bytes. */
  readonly volblocksize?: number | undefined;
  /** Whether room is kept for all that the volume may write. Without it as the pool does it. */
  readonly provisioning?: "thick" | "thin" | undefined;
  /** Tags by their names, at most 1024 printable characters each. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of GetVolume. */
export interface GetVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of DeleteDataset. */
export interface DeleteDatasetParams {
  /** The name of the dataset, without the pool or with it. */
  readonly id: string;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of ResizeVolume. */
export interface ResizeVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The new size: 1 MiB or more. In MiB. */
  readonly size: number;
  /** Lets it shrink, and lose what is behind its new end. */
  readonly allowDataLoss?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of RenameVolume. */
export interface RenameVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The new name, without the pool or with it. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of PromoteVolume. */
export interface PromoteVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of CloneSnapshot. */
export interface CloneSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** The name of the new volume, without the pool or with it. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of CopyVolume. */
export interface CopyVolumeParams {
  /** The volume or the snapshot, without the pool or with it. */
  readonly id: string;
  /** The name of the new volume in the same pool, without the pool or with it. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of SetVolume. */
export interface SetVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** How new blocks are compressed, as zfsprops(7) has it: `lz4`, `zstd`, `off` and others. */
  readonly compression?: string | undefined;
  /** When writes are on the disk: as they ask for it, always, or never for sure. */
  readonly sync?: "standard" | "always" | "disabled" | undefined;
  /** Whether its device refuses writes. */
  readonly readonly?: boolean | undefined;
  /** Whether room is kept for all that the volume may write. Without it as the pool does it. */
  readonly provisioning?: "thick" | "thin" | undefined;
  /** Tags by their names, at most 1024 printable characters each. One with an empty value goes. */
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of GetVolumeProperties. */
export interface GetVolumePropertiesParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of ListSnapshots. */
export interface ListSnapshotsParams {
  /** The dataset. Of a snapshot's name, that snapshot alone. Without it, the whole pool. */
  readonly id?: string | undefined;
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the snapshot's name. */
  readonly after?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of GetSnapshot. */
export interface GetSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of CreateSnapshot. */
export interface CreateSnapshotParams {
  /** The dataset, without the pool or with it. */
  readonly id: string;
  /** The name of the snapshot: what follows the `@`. */
  readonly dest: string;
  /** Of everything below it too, at one moment for all. */
  readonly recursive?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of SnapshotGuest. */
export interface SnapshotGuestParams {
  /** The guest's id. */
  readonly id: string;
  /** The name of the snapshots: what follows the `@`. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of DeleteSnapshot. */
export interface DeleteSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** The snapshots of the same name of everything below its dataset too. */
  readonly recursive?: boolean | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of RollbackSnapshot. */
export interface RollbackSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** Destroys the newer snapshots that are in the way. Without it the method fails and names them. */
  readonly destroyMoreRecent?: boolean | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of CreateBookmark. */
export interface CreateBookmarkParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** The name of the bookmark: what follows the `#`. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of ListBookmarks. */
export interface ListBookmarksParams {
  /** The dataset. Without it, the whole pool. */
  readonly id?: string | undefined;
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the bookmark's name. */
  readonly after?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of DeleteBookmark. */
export interface DeleteBookmarkParams {
  /** The bookmark, `NAME#BOOKMARK`, without the pool or with it. */
  readonly id: string;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of GetSendPlan. */
export interface GetSendPlanParams {
  /** The volume, or the snapshot, without the pool or with it. */
  readonly id: string;
  /** The guids of the snapshots that the receiver has, newest first. */
  readonly have?: readonly string[] | undefined;
  /** Tells of a snapshot of the volume that would be taken now, also of one that has none yet. */
  readonly next?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of ListReplications. */
export interface ListReplicationsParams {
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of PullVolume. */
export interface PullVolumeParams {
  /** The copy, without the pool or with it. */
  readonly id: string;
  /** The other daemon, by its name in `peers` of the configuration. */
  readonly peer: string;
  /** Its volume, whose newest snapshot comes, or one of its snapshots, by the names that it knows. */
  readonly source: string;
  /** Destroys what the copy has and its source has not: newer snapshots, and what was written to it. */
  readonly force?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of MigrateVolume. */
export interface MigrateVolumeParams {
  /** The copy, without the pool or with it. */
  readonly id: string;
  /** The other daemon, by its name in `peers` of the configuration. */
  readonly peer: string;
  /** Its volume, whose newest snapshot comes, or one of its snapshots, by the names that it knows. */
  readonly source: string;
  /** Destroys what the copy has and its source has not: newer snapshots, and what was written to it. */
  readonly force?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of FinishMigration. */
export interface FinishMigrationParams {
  /** The copy, without the pool or with it. */
  readonly id: string;
  /** The other daemon, by its name in `peers` of the configuration. */
  readonly peer: string;
  /** Its volume, whose newest snapshot comes, or one of its snapshots, by the names that it knows. */
  readonly source: string;
  /** Destroys what the copy has and its source has not: newer snapshots, and what was written to it. */
  readonly force?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of FenceVolume. */
export interface FenceVolumeParams {
  /** The volume, without the pool or with it. */
  readonly id: string;
  /** The name of the snapshot: what follows the `@`. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of UnfenceVolume. */
export interface UnfenceVolumeParams {
  /** The volume, without the pool or with it. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of AbandonReceive. */
export interface AbandonReceiveParams {
  /** The volume, without the pool or with it. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of BackupSnapshot. */
export interface BackupSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** The name of a profile of `backups` in the configuration. */
  readonly profile: string;
  /** Whether it must be full. */
  readonly full?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of ListBackups. */
export interface ListBackupsParams {
  /** The name of a profile of `backups` in the configuration. */
  readonly profile: string;
  /** Only backups of this volume, by the name that its newest backup has. */
  readonly id?: string | undefined;
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the backup's id. */
  readonly after?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of VerifyBackup. */
export interface VerifyBackupParams {
  /** The name of a profile of `backups` in the configuration. */
  readonly profile: string;
  /** The id of a backup, or the guid of its snapshot. Without it, all of them. */
  readonly id?: string | undefined;
  /** `content` or nothing: all data is read and held against its digests first. `structure`: only whether each object is there with its size. */
  readonly verify?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of RestoreBackup. */
export interface RestoreBackupParams {
  /** The name of a profile of `backups` in the configuration. */
  readonly profile: string;
  /** The id of a backup, or the guid of its snapshot. */
  readonly id: string;
  /** The name of the new volume. */
  readonly dest: string;
  /** `content` or nothing: all data is read and held against its digests first. `structure`: only whether each object is there with its size. */
  readonly verify?: string | undefined;
  /** Whether to look at all that a restore looks at, and answer the volume as it would be and what it would be made of: nothing is changed. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of PruneBackups. */
export interface PruneBackupsParams {
  /** The name of a profile of `backups` in the configuration. */
  readonly profile: string;
  /** Only backups of this volume, by the name that its newest backup has. */
  readonly id?: string | undefined;
  /** So many of the newest of each volume are kept. In backups. */
  readonly keepLast?: number | undefined;
  /** Those that were taken in so many days are kept. In days. */
  readonly keepDays?: number | undefined;
  /** Whether to tell what would go, and remove nothing. */
  readonly dryRun?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of VerifyDisks. */
export interface VerifyDisksParams {
  readonly guest: GuestInput;
  /** Of no use: clients of mistify-agent send it. */
  readonly action?: string | undefined;
  /** Of no use: clients of mistify-agent send it. */
  readonly args?: Readonly<Record<string, string>> | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of CreateGuestDisks. */
export interface CreateGuestDisksParams {
  readonly guest: GuestInput;
  /** Of no use: clients of mistify-agent send it. */
  readonly action?: string | undefined;
  /** Of no use: clients of mistify-agent send it. */
  readonly args?: Readonly<Record<string, string>> | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of DeleteGuestsDisks. */
export interface DeleteGuestsDisksParams {
  readonly guest: GuestInput;
  /** Of no use: clients of mistify-agent send it. */
  readonly action?: string | undefined;
  /** Of no use: clients of mistify-agent send it. */
  readonly args?: Readonly<Record<string, string>> | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Changes nothing: answers at once, whatever `background` says, what the call would answer now, or its failure, and in `destroys` what would be destroyed. */
  readonly dryRun?: boolean | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of GetGuestQuota. */
export interface GetGuestQuotaParams {
  /** The guest's id. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of SetGuestQuota. */
export interface SetGuestQuotaParams {
  /** The guest's id. */
  readonly id: string;
  /** 0, or no quota, removes it. In MiB. */
  readonly quota?: number | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
  /** Whether to answer `{"jobs":[…]}` at once, with the job that the change has become. */
  readonly background?: boolean | undefined;
  /** At most 128 printable characters. The same request with the same key, by the same caller, is answered what the first one is. */
  readonly idempotencyKey?: string | undefined;
}

/** The parameters of GetPool. */
export interface GetPoolParams {
  /** The pool. Without it, all of them. */
  readonly id?: string | undefined;
  /** The same as `id`. */
  readonly pool?: string | undefined;
}

/** The parameters of ListJobs. */
export interface ListJobsParams {
  /** Only jobs in this state. */
  readonly state?: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted" | undefined;
  /** Only jobs of this method; `download` for downloads. */
  readonly method?: string | undefined;
  /** Only jobs of this pool. Without it, of all. */
  readonly pool?: string | undefined;
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the job's id. */
  readonly after?: string | undefined;
}

/** The parameters of GetJob. */
export interface GetJobParams {
  /** The job's id. */
  readonly id: string;
  /** Of no use here: the id of a job is unique over all pools. */
  readonly pool?: string | undefined;
}

/** The parameters of WaitJob. */
export interface WaitJobParams {
  /** The job's id. */
  readonly id: string;
  /** How long to wait; 0 or none for as long as it lasts. In ms. */
  readonly timeoutMs?: number | undefined;
  /** Of no use here: the id of a job is unique over all pools. */
  readonly pool?: string | undefined;
}

/** The parameters of CancelJob. */
export interface CancelJobParams {
  /** The job's id. */
  readonly id: string;
  /** Of no use here: the id of a job is unique over all pools. */
  readonly pool?: string | undefined;
}

/** The parameters of ListAudit. */
export interface ListAuditParams {
  /** Only from this time on, RFC 3339. */
  readonly since?: string | undefined;
  /** Only before this time, RFC 3339. */
  readonly until?: string | undefined;
  /** Only by this token's id, or this subject of a certificate. */
  readonly caller?: string | undefined;
  /** Only calls of this method. */
  readonly method?: string | undefined;
  /** `ok`, `failed` for what did not do what was asked, or the reason of a failure. */
  readonly outcome?: string | undefined;
  /** Only about this name or one below it, with its pool or without; also the id of a guest or image. */
  readonly dataset?: string | undefined;
  /** Only of this pool, which need not be configured any more. */
  readonly pool?: string | undefined;
  /** The most lines of a page, up to 1,000; 0 or none for 100. In lines. */
  readonly limit?: number | undefined;
  /** Where the page begins: the `next` of the page before. */
  readonly after?: string | undefined;
}
