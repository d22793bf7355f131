/** Made from the definitions of the methods by `npm run docs:api`: not to be changed by hand. */

import type {
  AbandonReceiveParams,
  BackupSnapshotParams,
  CancelJobParams,
  CloneImageParams,
  CloneSnapshotParams,
  CopyVolumeParams,
  CreateBookmarkParams,
  CreateGuestDisksParams,
  CreateSnapshotParams,
  CreateVolumeParams,
  DeleteBookmarkParams,
  DeleteDatasetParams,
  DeleteGuestsDisksParams,
  DeleteImageParams,
  DeleteSnapshotParams,
  FenceVolumeParams,
  FinishMigrationParams,
  GetGuestQuotaParams,
  GetImageParams,
  GetJobParams,
  GetPoolParams,
  GetSendPlanParams,
  GetSnapshotParams,
  GetVolumeParams,
  GetVolumePropertiesParams,
  ListAuditParams,
  ListBackupsParams,
  ListBookmarksParams,
  ListImagesParams,
  ListJobsParams,
  ListReplicationsParams,
  ListSnapshotsParams,
  ListVolumesParams,
  MigrateVolumeParams,
  PromoteVolumeParams,
  PruneBackupsParams,
  PruneImagesParams,
  PullVolumeParams,
  RenameVolumeParams,
  RequestImageParams,
  ResizeVolumeParams,
  RestoreBackupParams,
  RestoreImageParams,
  RollbackSnapshotParams,
  SetGuestQuotaParams,
  SetVolumeParams,
  SnapshotGuestParams,
  UnfenceVolumeParams,
  VerifyBackupParams,
  VerifyDisksParams,
  WaitJobParams,
} from "./api-params.js";
import type {
  AuditLine,
  Backup,
  Bookmark,
  Doomed,
  Guest,
  Image,
  Job,
  Pool,
  Quota,
  Replication,
  Snapshot,
  Volume,
} from "./api-records.js";
import type { CallOptions } from "./options.js";

/** What each method takes and answers. */
export interface Methods {
  ListImages: { params: ListImagesParams; result: { readonly images: readonly Image[] | null } };
  GetImage: { params: GetImageParams; result: { readonly images: readonly [Image] } };
  RequestImage: { params: RequestImageParams; result: { readonly images: readonly [Image] } };
  DeleteImage: {
    params: DeleteImageParams;
    result: { readonly images: readonly [Image]; readonly destroys?: readonly Doomed[] };
  };
  PruneImages: {
    params: PruneImagesParams;
    result: { readonly images: readonly Image[]; readonly destroys?: readonly Doomed[] };
  };
  RestoreImage: { params: RestoreImageParams; result: { readonly images: readonly [Image] } };
  CloneImage: { params: CloneImageParams; result: { readonly volumes: readonly [Volume] } };
  ListVolumes: { params: ListVolumesParams; result: { readonly volumes: readonly Volume[] } };
  CreateVolume: { params: CreateVolumeParams; result: { readonly volumes: readonly [Volume] } };
  GetVolume: { params: GetVolumeParams; result: { readonly volumes: readonly [Volume] } };
  DeleteDataset: {
    params: DeleteDatasetParams;
    result: { readonly volumes: readonly [Volume]; readonly destroys?: readonly Doomed[] };
  };
  ResizeVolume: { params: ResizeVolumeParams; result: { readonly volumes: readonly [Volume] } };
  RenameVolume: { params: RenameVolumeParams; result: { readonly volumes: readonly [Volume] } };
  PromoteVolume: { params: PromoteVolumeParams; result: { readonly volumes: readonly [Volume] } };
  CloneSnapshot: { params: CloneSnapshotParams; result: { readonly volumes: readonly [Volume] } };
  CopyVolume: { params: CopyVolumeParams; result: { readonly volumes: readonly [Volume] } };
  SetVolume: { params: SetVolumeParams; result: { readonly volumes: readonly [Volume] } };
  GetVolumeProperties: { params: GetVolumePropertiesParams; result: { readonly volumes: readonly [Volume] } };
  ListSnapshots: { params: ListSnapshotsParams; result: { readonly snapshots: readonly Snapshot[] } };
  GetSnapshot: { params: GetSnapshotParams; result: { readonly snapshots: readonly [Snapshot] } };
  CreateSnapshot: { params: CreateSnapshotParams; result: { readonly snapshots: readonly Snapshot[] } };
  SnapshotGuest: { params: SnapshotGuestParams; result: { readonly snapshots: readonly Snapshot[] } };
  DeleteSnapshot: {
    params: DeleteSnapshotParams;
    result: { readonly snapshots: readonly Snapshot[]; readonly destroys?: readonly Doomed[] };
  };
  RollbackSnapshot: {
    params: RollbackSnapshotParams;
    result: { readonly snapshots: readonly [Snapshot]; readonly destroys?: readonly Doomed[] };
  };
  CreateBookmark: { params: CreateBookmarkParams; result: { readonly bookmarks: readonly [Bookmark] } };
  ListBookmarks: { params: ListBookmarksParams; result: { readonly bookmarks: readonly Bookmark[] } };
  DeleteBookmark: {
    params: DeleteBookmarkParams;
    result: { readonly bookmarks: readonly [Bookmark]; readonly destroys?: readonly Doomed[] };
  };
  GetSendPlan: {
    params: GetSendPlanParams;
    result: {
      readonly plans: readonly [
        {
          readonly id: string;
          readonly guid: string;
          readonly isThere: boolean;
          readonly base: { readonly id: string; readonly guid: string } | null;
          readonly bytes?: number | null;
        },
      ];
    };
  };
  ListReplications: {
    params: ListReplicationsParams;
    result: { readonly replications: readonly Replication[] };
  };
  PullVolume: {
    params: PullVolumeParams;
    result: {
      readonly volumes: readonly [Volume];
      readonly pulled: {
        readonly snapshot: string;
        readonly guid: string;
        readonly bytes: number;
        readonly full: boolean;
      };
      readonly destroys?: readonly Doomed[];
    };
  };
  MigrateVolume: {
    params: MigrateVolumeParams;
    result: {
      readonly volumes: readonly [Volume];
      readonly pulled: {
        readonly snapshot: string;
        readonly guid: string;
        readonly bytes: number;
        readonly full: boolean;
      };
      readonly plan?: {
        readonly peer: string;
        readonly source: string;
        readonly base: { readonly id: string; readonly guid: string } | null;
        readonly estimatedBytes: number | null;
        readonly snapshot: string | null;
        readonly fences: boolean;
        readonly drops: readonly string[];
      };
      readonly destroys?: readonly Doomed[];
    };
  };
  FinishMigration: {
    params: FinishMigrationParams;
    result: {
      readonly volumes: readonly [Volume];
      readonly pulled: {
        readonly snapshot: string;
        readonly guid: string;
        readonly bytes: number;
        readonly full: boolean;
      };
      readonly plan?: {
        readonly peer: string;
        readonly source: string;
        readonly base: { readonly id: string; readonly guid: string } | null;
        readonly estimatedBytes: number | null;
        readonly snapshot: string | null;
        readonly fences: boolean;
        readonly drops: readonly string[];
      };
      readonly destroys?: readonly Doomed[];
    };
  };
  FenceVolume: { params: FenceVolumeParams; result: { readonly snapshots: readonly [Snapshot] } };
  UnfenceVolume: { params: UnfenceVolumeParams; result: { readonly volumes: readonly [Volume] } };
  AbandonReceive: { params: AbandonReceiveParams; result: { readonly volumes: readonly [Volume] } };
  BackupSnapshot: {
    params: BackupSnapshotParams;
    result: {
      readonly backups: readonly [Backup];
      readonly why: "first" | "asked" | "fullEvery" | "baseLost" | "increment" | "present";
      readonly warnings: readonly string[];
    };
  };
  ListBackups: {
    params: ListBackupsParams;
    result: { readonly backups: readonly Backup[]; readonly damaged: readonly string[] };
  };
  VerifyBackup: {
    params: VerifyBackupParams;
    result: { readonly backups: readonly Backup[]; readonly bytes: number };
  };
  RestoreBackup: {
    params: RestoreBackupParams;
    result: {
      readonly volumes: readonly [Volume];
      readonly backups?: readonly Backup[];
      readonly bytes?: number;
    };
  };
  PruneBackups: {
    params: PruneBackupsParams;
    result: {
      readonly backups: readonly Backup[];
      readonly leftovers: readonly string[];
      readonly dryRun: boolean;
    };
  };
  VerifyDisks: { params: VerifyDisksParams; result: { readonly guest: Guest } };
  CreateGuestDisks: { params: CreateGuestDisksParams; result: { readonly guest: Guest } };
  DeleteGuestsDisks: {
    params: DeleteGuestsDisksParams;
    result: { readonly guest: Guest; readonly destroys?: readonly Doomed[] };
  };
  GetGuestQuota: { params: GetGuestQuotaParams; result: { readonly quotas: readonly [Quota] } };
  SetGuestQuota: { params: SetGuestQuotaParams; result: { readonly quotas: readonly [Quota] } };
  GetPool: { params: GetPoolParams; result: { readonly pools: readonly Pool[] } };
  ListJobs: { params: ListJobsParams; result: { readonly jobs: readonly Job[] } };
  GetJob: { params: GetJobParams; result: { readonly jobs: readonly [Job] } };
  WaitJob: { params: WaitJobParams; result: { readonly jobs: readonly [Job] } };
  CancelJob: { params: CancelJobParams; result: { readonly jobs: readonly [Job] } };
  ListAudit: {
    params: ListAuditParams;
    result: { readonly lines: readonly AuditLine[]; readonly skipped: number; readonly next: string | null };
  };
}

/** What each method changes; a repeat of `once` is refused. */
export const EFFECTS: Readonly<Record<keyof Methods, "read" | "repeatable" | "once">> = {
  ListImages: "read",
  GetImage: "read",
  RequestImage: "repeatable",
  DeleteImage: "once",
  PruneImages: "once",
  RestoreImage: "once",
  CloneImage: "repeatable",
  ListVolumes: "read",
  CreateVolume: "repeatable",
  GetVolume: "read",
  DeleteDataset: "once",
  ResizeVolume: "repeatable",
  RenameVolume: "once",
  PromoteVolume: "once",
  CloneSnapshot: "repeatable",
  CopyVolume: "once",
  SetVolume: "repeatable",
  GetVolumeProperties: "read",
  ListSnapshots: "read",
  GetSnapshot: "read",
  CreateSnapshot: "once",
  SnapshotGuest: "once",
  DeleteSnapshot: "once",
  RollbackSnapshot: "repeatable",
  CreateBookmark: "repeatable",
  ListBookmarks: "read",
  DeleteBookmark: "once",
  GetSendPlan: "read",
  ListReplications: "read",
  PullVolume: "repeatable",
  MigrateVolume: "repeatable",
  FinishMigration: "repeatable",
  FenceVolume: "repeatable",
  UnfenceVolume: "repeatable",
  AbandonReceive: "repeatable",
  BackupSnapshot: "repeatable",
  ListBackups: "read",
  VerifyBackup: "repeatable",
  RestoreBackup: "once",
  PruneBackups: "repeatable",
  VerifyDisks: "read",
  CreateGuestDisks: "repeatable",
  DeleteGuestsDisks: "repeatable",
  GetGuestQuota: "read",
  SetGuestQuota: "repeatable",
  GetPool: "read",
  ListJobs: "read",
  GetJob: "read",
  WaitJob: "read",
  CancelJob: "repeatable",
  ListAudit: "read",
};

/** Calls a method by its name. */
export type Call = <M extends keyof Methods>(
  method: M,
  params: Methods[M]["params"],
  options?: CallOptions,
) => Promise<Methods[M]["result"]>;

/** A function for each method. */
export function methodsOf(call: Call) {
  return {
    /** Lists the images of a pool, those that are being fetched too. */
    listImages: (params: ListImagesParams = {}, options?: CallOptions) => call("ListImages", params, options),
    /** Shows an image. */
    getImage: (params: GetImageParams, options?: CallOptions) => call("GetImage", params, options),
    /** Fetches an image from the image service, and answers when it is complete. One that the pool has is answered at once. Requests for one image at the same time share a fetch. A fetch that fails leaves nothing. */
    requestImage: (params: RequestImageParams, options?: CallOptions) =>
      call("RequestImage", params, options),
    /** Deletes an image, its snapshots and its volume. With `whenInUse` an image that has clones is gone for all methods at once, and its id is free for another. Its volume gets a name that no request can have, and goes with the last of the clones. */
    deleteImage: (params: DeleteImageParams, options?: CallOptions) => call("DeleteImage", params, options),
    /** Deletes the images of a pool that nothing is cloned from and that were not used for long. At least one limit must be given; with both, both must hold. An image is used when it is requested, also where it is there, or cloned; after a restart of the daemon its last use counts as up to an hour later than it was. Images that have clones, are held, open or sent are kept, and so are those that others build on, also where these go. Those that are answered are deleted, or of a dry run would be. */
    pruneImages: (params: PruneImagesParams = {}, options?: CallOptions) =>
      call("PruneImages", params, options),
    /** Brings an image back that was put into the trash when it was deleted. It has its id, its type and its snapshots again, and can be cloned and requested as before. What is in the trash is listed by ListImages with `trash`. */
    restoreImage: (params: RestoreImageParams, options?: CallOptions) =>
      call("RestoreImage", params, options),
    /** Makes a volume of an image, and the parents that it lacks. A volume of this name that is a clone of the image is a success. */
    cloneImage: (params: CloneImageParams, options?: CallOptions) => call("CloneImage", params, options),
    /** Lists every volume of a pool, images and disks too. */
    listVolumes: (params: ListVolumesParams = {}, options?: CallOptions) =>
      call("ListVolumes", params, options),
    /** Creates an empty volume, and the parents that it lacks. A volume of this name and size is a success, if it is as the request wants it. */
    createVolume: (params: CreateVolumeParams, options?: CallOptions) =>
      call("CreateVolume", params, options),
    /** Shows a volume. */
    getVolume: (params: GetVolumeParams, options?: CallOptions) => call("GetVolume", params, options),
    /** Deletes a volume, another dataset or a snapshot, with all below it. Nothing is deleted while a hold, a clone or a user of any of it is in the way. The pool itself, `images` and `guests` are protected. */
    deleteDataset: (params: DeleteDatasetParams, options?: CallOptions) =>
      call("DeleteDataset", params, options),
    /** Makes a volume larger, or smaller. The answer has the size that it has then: whole blocks, rounded up. What is new reads as zeros. A thick volume stays thick. */
    resizeVolume: (params: ResizeVolumeParams, options?: CallOptions) =>
      call("ResizeVolume", params, options),
    /** Gives a volume another name in its pool, and makes the parents that it lacks. Its snapshots come along; its clones and the downloads of its snapshots go on. No volume can become an image. */
    renameVolume: (params: RenameVolumeParams, options?: CallOptions) =>
      call("RenameVolume", params, options),
    /** Gives a clone the snapshots that it was made of, so that the volume before it can be deleted. The clone gets the snapshot that it was made of and those before it. The volume that had them becomes a clone of it. */
    promoteVolume: (params: PromoteVolumeParams, options?: CallOptions) =>
      call("PromoteVolume", params, options),
    /** Makes a volume of a snapshot of a volume, and the parents that it lacks. It shares its blocks with the snapshot. A clone of it with this name is a success. */
    cloneSnapshot: (params: CloneSnapshotParams, options?: CallOptions) =>
      call("CloneSnapshot", params, options),
    /** Makes a volume with the content of another or of a snapshot, which shares nothing with it. Unlike a clone it takes the room of all its data, and its source can go. It can be written, and has the block size, the compression, the syncs, the provisioning and the tags of its source. Of a volume a snapshot is taken for it, `imagestore-copy-…`, which goes at its end. As long as it runs its source can't be deleted; it can be cancelled, and then leaves nothing. */
    copyVolume: (params: CopyVolumeParams, options?: CallOptions) => call("CopyVolume", params, options),
    /** Changes settings and tags of a volume, and answers with those that it has then. What the request leaves out stays. A change that fails half-way may be repeated. An embedded pool has neither compression nor syncs of its own: it refuses both. */
    setVolume: (params: SetVolumeParams, options?: CallOptions) => call("SetVolume", params, options),
    /** Shows the settings and the tags of a volume. */
    getVolumeProperties: (params: GetVolumePropertiesParams, options?: CallOptions) =>
      call("GetVolumeProperties", params, options),
    /** Lists the snapshots of a pool, or those of a dataset and of all below it. */
    listSnapshots: (params: ListSnapshotsParams = {}, options?: CallOptions) =>
      call("ListSnapshots", params, options),
    /** Shows a snapshot. */
    getSnapshot: (params: GetSnapshotParams, options?: CallOptions) => call("GetSnapshot", params, options),
    /** Takes a snapshot. */
    createSnapshot: (params: CreateSnapshotParams, options?: CallOptions) =>
      call("CreateSnapshot", params, options),
    /** Takes a snapshot of all disks of a guest, at one moment for all. The answer has a snapshot for each disk, and that of the dataset above them. In an embedded pool without reflinks, what a guest writes meanwhile may be in some of them. A crash leaves all of them or none. */
    snapshotGuest: (params: SnapshotGuestParams, options?: CallOptions) =>
      call("SnapshotGuest", params, options),
    /** Deletes a snapshot, and answers what was deleted. */
    deleteSnapshot: (params: DeleteSnapshotParams, options?: CallOptions) =>
      call("DeleteSnapshot", params, options),
    /** Gives a dataset the content that it had at a snapshot. */
    rollbackSnapshot: (params: RollbackSnapshotParams, options?: CallOptions) =>
      call("RollbackSnapshot", params, options),
    /** Keeps of a snapshot what increments need of it, so that it can be deleted. A bookmark has the guid and the time of a snapshot and none of its data. A bookmark of the same snapshot with this name is a success. */
    createBookmark: (params: CreateBookmarkParams, options?: CallOptions) =>
      call("CreateBookmark", params, options),
    /** Lists the bookmarks of a pool, or those of a dataset and of all below it. */
    listBookmarks: (params: ListBookmarksParams = {}, options?: CallOptions) =>
      call("ListBookmarks", params, options),
    /** Deletes a bookmark, and answers what was deleted. */
    deleteBookmark: (params: DeleteBookmarkParams, options?: CallOptions) =>
      call("DeleteBookmark", params, options),
    /** Tells what a receiver needs that is to have a volume's newest snapshot, or the one that is named. A peer asks this before it pulls. The stream can build on `base`, a snapshot or a bookmark that the receiver has as a snapshot: `/snapshots/download?id=ID&from=BASE`. */
    getSendPlan: (params: GetSendPlanParams, options?: CallOptions) => call("GetSendPlan", params, options),
    /** Lists the volumes that are pulled by a schedule, and how that goes. The schedules are in `replication` of the configuration. A caller sees those of the pools and names that its token is for. What is told of earlier pulls begins with the daemon's start. */
    listReplications: (params: ListReplicationsParams = {}, options?: CallOptions) =>
      call("ListReplications", params, options),
    /** Makes a copy of a volume of another daemon, or brings it up to date. The first time everything comes, later only what has changed. The copy is read-only until SetVolume says otherwise. It has its name once it is whole. A transfer that breaks goes on where it broke, on OpenZFS, when the call is repeated. The source keeps a bookmark for each copy: its snapshots may be deleted. See docs/replication.md. */
    pullVolume: (params: PullVolumeParams, options?: CallOptions) => call("PullVolume", params, options),
    /** Brings a volume of another daemon here while its guest goes on writing, until little is left to come. It takes snapshots of the source, named `migrate-…`, and pulls them: each time what was written meanwhile. It ends when the last one was 32 MiB or less, or no smaller than the one before. Then stop the guest and call FinishMigration. A dry run tells in `plan` what the first round would do; that the peer would let it is not tried. See docs/replication.md. */
    migrateVolume: (params: MigrateVolumeParams, options?: CallOptions) =>
      call("MigrateVolume", params, options),
    /** Fences the source of a migration, brings what is left, and makes the volume here writable. From the fence on nothing changes the source: whoever had it open can't write to it any more. If it fails after that, neither is writable: repeat it, or UnfenceVolume the source to go on there. A dry run fences nothing, and tells in `plan` what would be done. */
    finishMigration: (params: FinishMigrationParams, options?: CallOptions) =>
      call("FinishMigration", params, options),
    /** Lets nothing change a volume any more, and answers its last snapshot. It becomes read-only and gets a snapshot. Until UnfenceVolume every method that would change it is refused with `dataset.fenced`, also after a restart; it can be read, sent, and have bookmarks. The mark is its tag `imagestore.fence`. Of one that is fenced the snapshot of then is answered. An embedded pool can't keep a program from writing that has its file open. */
    fenceVolume: (params: FenceVolumeParams, options?: CallOptions) => call("FenceVolume", params, options),
    /** Takes the fence from a volume, which is then as writable as it was before. Make sure first that no copy of it is in use: two owners that both write are worse than none. */
    unfenceVolume: (params: UnfenceVolumeParams, options?: CallOptions) =>
      call("UnfenceVolume", params, options),
    /** Gives up the receive of a volume that has broken and could go on. What has come of it goes. A volume that was there before stays as it was. It is answered as it is then, with the size 0 if there is none; also where nothing was left. */
    abandonReceive: (params: AbandonReceiveParams, options?: CallOptions) =>
      call("AbandonReceive", params, options),
    /** Stores a snapshot of a volume as a backup in an object store. It is an increment of the newest earlier backup of the volume whose snapshot, or a bookmark of it, is still in the pool; else it is full, and `why` and `warnings` say so. Afterwards a bookmark stays, so the snapshot can be deleted. A snapshot with a backup that is whole is a success. */
    backupSnapshot: (params: BackupSnapshotParams, options?: CallOptions) =>
      call("BackupSnapshot", params, options),
    /** Lists the backups in an object store. It reads the store alone, also for pools that are gone. `restorable` tells whether all that a backup builds on is listed; VerifyBackup tells more. */
    listBackups: (params: ListBackupsParams, options?: CallOptions) => call("ListBackups", params, options),
    /** Looks whether a backup, or each of them, can be restored. It looks for each object that a restore would need, at its size, its digests, each record of its stream, and whether the streams join. No pool is touched. The failure names what is damaged. */
    verifyBackup: (params: VerifyBackupParams, options?: CallOptions) =>
      call("VerifyBackup", params, options),
    /** Makes a new volume of a backup. It looks at all that it needs as VerifyBackup does before it changes anything. Then it receives the full backup and the increments under a name that no request can name, and renames that at the end. The volume is writable, and has the snapshots of the chain. */
    restoreBackup: (params: RestoreBackupParams, options?: CallOptions) =>
      call("RestoreBackup", params, options),
    /** Removes old backups of a pool that no kept backup builds on. The newest backup of each volume is kept, whatever the rules say, and all that a kept one builds on. What is left of backups that did not end goes too once it is old, unless `id` names a volume. */
    pruneBackups: (params: PruneBackupsParams, options?: CallOptions) =>
      call("PruneBackups", params, options),
    /** Tells whether a pool has room for the disks of a guest, and fills in the sizes of images. */
    verifyDisks: (params: VerifyDisksParams, options?: CallOptions) => call("VerifyDisks", params, options),
    /** Makes the disks of a guest, all of them or none. Disks are `guests/ID/disk-N`, clones of images or new volumes, at most `limits.disksPerGuest`. Those that are there are kept, so that a repeat is a success. */
    createGuestDisks: (params: CreateGuestDisksParams, options?: CallOptions) =>
      call("CreateGuestDisks", params, options),
    /** Deletes the disks of a guest, with their snapshots. A guest without disks is a success. */
    deleteGuestsDisks: (params: DeleteGuestsDisksParams, options?: CallOptions) =>
      call("DeleteGuestsDisks", params, options),
    /** Tells what the disks of a guest may take, with their snapshots, and what they take. A guest without disks takes nothing. In an embedded pool no guest has a quota. */
    getGuestQuota: (params: GetGuestQuotaParams, options?: CallOptions) =>
      call("GetGuestQuota", params, options),
    /** Limits what the disks of a guest may take, with their snapshots. It is the `quota` of `POOL/guests/ID`, which is made if it is missing, and goes with DeleteGuestsDisks. Where it is reached, writes of the guest fail. An embedded pool has no such limit. */
    setGuestQuota: (params: SetGuestQuotaParams, options?: CallOptions) =>
      call("SetGuestQuota", params, options),
    /** Shows a pool, or all pools of the daemon. */
    getPool: (params: GetPoolParams = {}, options?: CallOptions) => call("GetPool", params, options),
    /** Lists what lasts: what runs, and what has ended. A caller sees the jobs of the pools and names that its token is for. */
    listJobs: (params: ListJobsParams = {}, options?: CallOptions) => call("ListJobs", params, options),
    /** Shows a job. */
    getJob: (params: GetJobParams, options?: CallOptions) => call("GetJob", params, options),
    /** Answers with a job when it has ended, or when the time is over. The job of a request with `background` has the answer of its method as `result` then. */
    waitJob: (params: WaitJobParams, options?: CallOptions) => call("WaitJob", params, options),
    /** Ends a job, which then leaves nothing behind. Fetches, copies of volumes and downloads can be cancelled. A fetch that others wait for goes on for them. It answers when the job has ended, or after ten seconds; a job that has ended is answered as it is. */
    cancelJob: (params: CancelJobParams, options?: CallOptions) => call("CancelJob", params, options),
    /** Lists who has changed what, newest first, as `audit.file` has it. It reads backwards from the end of the file as it is now, and not those that were moved away. A page may have fewer lines than `limit`, or none, although there are more: as long as `next` is a text, ask again with it as `after`. A page goes on in the file in which the first one began, under its new name too, while that is next to the old one and not compressed. It ends at the first line that is older than `since`. Only a token for all pools and names may ask. */
    listAudit: (params: ListAuditParams = {}, options?: CallOptions) => call("ListAudit", params, options),
  };
}
