/** Made from the definitions of the methods by `npm run docs:api`: not to be changed by hand. */

import type { GuestInput } from "./api-records.js";

/** The parameters of ListImages. */
export interface ListImagesParams {
  /** Only images of this type. */
  readonly type?: string | undefined;
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
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of DeleteImage. */
export interface DeleteImageParams {
  /** The image's id. */
  readonly id: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of CloneImage. */
export interface CloneImageParams {
  /** The image's id. */
  readonly id: string;
  /** The name of the new volume, without the pool or with it. */
  readonly dest: string;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of ListVolumes. */
export interface ListVolumesParams {
  /** The most records of a page; 0 or none for a whole list. In records. */
  readonly limit?: number | undefined;
  /** Where the page begins: behind the last record of the page before, the volume's name. */
  readonly after?: string | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of CreateVolume. */
export interface CreateVolumeParams {
  /** The volume's name, without the pool or with it. */
  readonly id: string;
  /** The size: 1 MiB or more. In MiB. */
  readonly size: number;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
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
}

/** The parameters of DeleteSnapshot. */
export interface DeleteSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** The snapshots of the same name of everything below its dataset too. */
  readonly recursive?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
}

/** The parameters of RollbackSnapshot. */
export interface RollbackSnapshotParams {
  /** The snapshot, `NAME@SNAPSHOT`, without the pool or with it. */
  readonly id: string;
  /** Destroys the newer snapshots that are in the way. Without it the method fails and names them. */
  readonly destroyMoreRecent?: boolean | undefined;
  /** The pool, where the daemon has several. Without it the first one serves. */
  readonly pool?: string | undefined;
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
