/** Made from the definitions of the methods by `npm run docs:api`: not to be changed by hand. */

/** An image: a volume whose snapshot is cloned for disks. */
export interface Image {
  /** The image's id. */
  readonly id: string;
  /** What the request for it said, or the image service; often `kvm` or `container`. */
  readonly type: string;
  /** The volume, `POOL/images/ID`. Not there while it is fetched. */
  readonly volume?: string | undefined;
  /** The snapshot that is cloned: the volume's oldest. Not there while it is fetched, and in the trash. */
  readonly snapshot?: string | undefined;
  /** The size of its volume; 0 while it is fetched. In MiB. */
  readonly size: number;
  /** `pending` while it is fetched, or waits for that; `trash` only where ListImages was asked for that. */
  readonly status: "pending" | "complete" | "trash";
  /** Of a layered image: the snapshot of another that it builds on. Not there where that other is in the trash. */
  readonly origin?: string | undefined;
}

/** A volume. Only SetVolume and GetVolumeProperties answer with its properties. */
export interface Volume {
  /** The full name. */
  readonly id: string;
  /** The size; 0 of a filesystem, which DeleteDataset answers too. In MiB. */
  readonly size: number;
  /** The path of its device. With the embedded driver that of a file. */
  readonly device: string;
  /** Its settings and tags. */
  readonly properties?: VolumeProperties | undefined;
}

/** The settings of a volume. */
export interface VolumeProperties {
  /** How new blocks are compressed, as zfsprops(7) has it. */
  readonly compression: string;
  /** When writes are on the disk: `standard`, `always` or `disabled`. */
  readonly sync: string;
  /** Whether its device refuses writes. */
  readonly readonly: boolean;
  /** Whether room is kept for all that it may write. */
  readonly provisioning: "thick" | "thin";
  /** The size of its blocks. In bytes. */
  readonly volblocksize: number;
  /** Its tags by their names. */
  readonly tags: Readonly<Record<string, string>>;
}

/** A bookmark: what is left of a snapshot, to send increments from. */
export interface Bookmark {
  /** The full name, `POOL/NAME#BOOKMARK`. */
  readonly id: string;
  /** The guid of the snapshot, in digits. */
  readonly guid: string;
  /** When the snapshot was made, RFC 3339. */
  readonly created: string;
}

/** What a call would destroy. */
export interface Doomed {
  /** The full name of a dataset, a snapshot or a bookmark. */
  readonly id: string;
  /** What it takes alone and would give back; null where that is not known. What it shares with others is in none of them. In bytes. */
  readonly bytes: number | null;
}

/** A backup of a snapshot. */
export interface Backup {
  /** The name of its objects in the store: `POOLGUID/DATASETGUID/TOGUID.full`, or with `FROMGUID-TOGUID.inc`. */
  readonly id: string;
  /** The snapshot, as it was called then. */
  readonly snapshot: string;
  /** The guid of the snapshot, in digits. */
  readonly guid: string;
  /** The guid of the snapshot that it builds on; null for a full one. */
  readonly from: string | null;
  /** Of its stream. In bytes. */
  readonly bytes: number;
  /** Of the volume. In MiB. */
  readonly size: number;
  /** When the snapshot was made. */
  readonly created: string;
  /** When the backup was. */
  readonly taken: string;
  /** Of its stream, in hex. */
  readonly sha256: string;
  /** Whether all that it builds on is listed. */
  readonly restorable: boolean;
  /** Whether it is encrypted with age: a restore needs an identity of the profile's. */
  readonly encrypted: boolean;
}

/** A snapshot. */
export interface Snapshot {
  /** The full name, `POOL/NAME@SNAPSHOT`. */
  readonly id: string;
  /** What was written between the snapshot before and this one. In MiB. */
  readonly size: number;
}

/** A guest, as it was sent, with what is known of its disks. Empty members are left out. */
export interface Guest {
  /** The guest's id: one component of a name. Its disks are below `POOL/guests/ID`. */
  readonly id: string;
  /** Comes back as it was sent, as all that follow but `disks`. */
  readonly type?: string | undefined;
  /** Of no use here: each disk names its own. */
  readonly image?: string | undefined;
  /** The state of the guest. */
  readonly state?: string | undefined;
  /** The memory of the guest. */
  readonly memory?: number | bigint | undefined;
  /** The processors of the guest. */
  readonly cpu?: number | bigint | undefined;
  /** The port of its console. */
  readonly vnc?: number | bigint | undefined;
  /** Names and values. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Its network cards. */
  readonly nics?: readonly Nic[] | undefined;
  /** Its disks, in their order. */
  readonly disks?: readonly Disk[] | undefined;
}

/** A disk of a guest. */
export interface Disk {
  /** Comes back as it was sent. */
  readonly bus: string;
  /** Comes back as it was sent. */
  readonly device: string;
  /** The size. Of a disk with an image: that of the image, whatever the request says. In MiB. */
  readonly size: number;
  /** The volume, `POOL/guests/ID/disk-N`, once it is made. */
  readonly volume: string;
  /** The id of the image that it is cloned from; empty for a disk that starts empty. */
  readonly image: string;
  /** The path of the volume's device, once it is made. */
  readonly source: string;
}

/** A network card of a guest. Storage has no use for it. */
export interface Nic {
  /** Its name on the node. */
  readonly name?: string | undefined;
  /** The network that it is in. */
  readonly network: string;
  /** What the guest sees, such as `virtio`. */
  readonly model: string;
  /** Its hardware address. */
  readonly mac?: string | undefined;
  /** Its IP address. */
  readonly address: string;
  /** The mask of its network. */
  readonly netmask: string;
  /** The gateway of its network. */
  readonly gateway: string;
  /** The device behind it. */
  readonly device?: string | undefined;
  /** The VLANs that it is in. */
  readonly vlans: readonly (number | bigint)[] | null;
}

/** A guest in a request. */
export interface GuestInput {
  /** The guest's id: one component of a name. Its disks are below `POOL/guests/ID`. */
  readonly id: string;
  /** Comes back as it was sent, as all that follow but `disks`. */
  readonly type?: string | undefined;
  /** Of no use here: each disk names its own. */
  readonly image?: string | undefined;
  /** The state of the guest. */
  readonly state?: string | undefined;
  /** The memory of the guest. */
  readonly memory?: number | bigint | undefined;
  /** The processors of the guest. */
  readonly cpu?: number | bigint | undefined;
  /** The port of its console. */
  readonly vnc?: number | bigint | undefined;
  /** Names and values. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Its network cards. */
  readonly nics?: readonly NicInput[] | undefined;
  /** Its disks, in their order. */
  readonly disks?: readonly DiskInput[] | undefined;
}

/** A disk in a request: with an `image`, or with a `size`. */
export interface DiskInput {
  /** Comes back as it was sent. */
  readonly bus?: string | undefined;
  /** Comes back as it was sent. */
  readonly device?: string | undefined;
  /** The size. Of a disk with an image: that of the image, whatever the request says. In MiB. */
  readonly size?: number | undefined;
  /** The volume, `POOL/guests/ID/disk-N`, once it is made. */
  readonly volume?: string | undefined;
  /** The id of the image that it is cloned from; empty for a disk that starts empty. */
  readonly image?: string | undefined;
  /** The path of the volume's device, once it is made. */
  readonly source?: string | undefined;
}

/** A network card in a request. */
export interface NicInput {
  /** Its name on the node. */
  readonly name?: string | undefined;
  /** The network that it is in. */
  readonly network?: string | undefined;
  /** What the guest sees, such as `virtio`. */
  readonly model?: string | undefined;
  /** Its hardware address. */
  readonly mac?: string | undefined;
  /** Its IP address. */
  readonly address?: string | undefined;
  /** The mask of its network. */
  readonly netmask?: string | undefined;
  /** The gateway of its network. */
  readonly gateway?: string | undefined;
  /** The device behind it. */
  readonly device?: string | undefined;
  /** The VLANs that it is in. */
  readonly vlans?: readonly (number | bigint)[] | undefined;
}

/** Work that lasts. */
export interface Job {
  /** Unique over all runs of the daemon. Ids sort in the order in which their jobs began. */
  readonly id: string;
  /** The method that was called; `download` for a download. */
  readonly method: string;
  /** The pool. */
  readonly pool: string;
  /** What it is about, by its full name. */
  readonly dataset: string;
  /** The id of the token of who asked; null where the daemon asks for none. */
  readonly caller: string | null;
  /** The address of its client. */
  readonly peer: string;
  /** The id of its request, as in the log. */
  readonly requestId: string;
  /** `queued` and `running`, then one of the others for good. */
  readonly state: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
  /** What it does now; null once it has ended, and where it has no phases. */
  readonly phase: string | null;
  /** Moved so far. In bytes. */
  readonly bytes: number;
  /** How many there will be; null where that is not known. In bytes. */
  readonly totalBytes: number | null;
  /** Of the last seconds; null where it moves none now. In bytes/s. */
  readonly bytesPerSecond: number | null;
  /** Until its end; null where that is not known. In s. */
  readonly etaSeconds: number | null;
  /** When it was asked for. */
  readonly createdAt: string;
  /** When its turn came; null before. */
  readonly startedAt: string | null;
  /** When it ended; null before. */
  readonly endedAt: string | null;
  /** Why it did not do what was asked; null where it did, and before its end. */
  readonly failure: { readonly code: string; readonly message: string; readonly retryable: boolean } | null;
  /** Whether the same call may be made again without looking first. */
  readonly repeatSafe: boolean;
  /** Of a call that fetches, such as RequestImage, once it has begun. */
  readonly fetch?:
    | { readonly source: string; readonly requests: number; readonly repeatedBytes: number }
    | undefined;
  /** In the answers of GetJob, WaitJob and CancelJob: what its method has answered, if it was asked for with `background` or a key, and is short enough to be kept. */
  readonly result?: Readonly<Record<string, string>> | undefined;
}

/** A change, or a call that its token was not for. */
export interface AuditLine {
  /** When the call ended. */
  readonly time: string;
  /** The id of its token, or the subject of its certificate. Not there where none is asked for. */
  readonly caller?: string | undefined;
  /** The address of its client. */
  readonly peer: string;
  /** The method that was called; `download` for a download that was not allowed. */
  readonly method: string;
  /** The pool; empty where the call named none that could be served. */
  readonly pool: string;
  /** What it is about: full names, or the id of an image, a guest or a job. */
  readonly datasets: readonly string[];
  /** `ok`, or the reason of its failure. */
  readonly code: string;
  /** What the client was told; only of a failure. */
  readonly message?: string | undefined;
  /** The id of its request, as in the log. */
  readonly requestId: string;
}

/** A volume that is pulled by a schedule. */
export interface Replication {
  /** The copy, by its full name. */
  readonly id: string;
  /** Its pool. */
  readonly pool: string;
  /** The daemon that has its source. */
  readonly peer: string;
  /** Its source, by the name that the peer knows it by. */
  readonly source: string;
  /** When it is pulled, as cron has it. */
  readonly schedule: string;
  /** Whether it is pulled now. */
  readonly state: "waiting" | "running";
  /** When the newest pull began; null before the first one. */
  readonly startedAt: string | null;
  /** When the newest pull that succeeded began: the copy is at least as new; null before that. */
  readonly upToDateAt: string | null;
  /** Of the streams of that pull; null before it. In bytes. */
  readonly bytes: number | null;
  /** Pulls that have failed since one succeeded. */
  readonly failures: number;
  /** Why the newest pull failed; null if it did not. */
  readonly failure: { readonly code: string; readonly message: string } | null;
  /** When the schedule pulls it again; null if it never does. */
  readonly nextAt: string | null;
}

/** The quota of a guest. */
export interface Quota {
  /** The guest's dataset, `POOL/guests/ID`. */
  readonly id: string;
  /** How much all below it may take; 0 where there is no limit. In MiB. */
  readonly quota: number;
  /** What it takes now, with snapshots and the room that is kept for thick volumes. In MiB. */
  readonly used: number;
}

/** A pool. */
export interface Pool {
  /** Its name. */
  readonly name: string;
  /** What keeps it: OpenZFS, or a folder. */
  readonly driver: "openzfs" | "embedded";
  /** As `zpool list` shows it: `allocated` and `free` together. In MiB. */
  readonly size: number;
  /** As `zpool list` shows it. In MiB. */
  readonly allocated: number;
  /** As `zpool list` shows it. In MiB. */
  readonly free: number;
  /** The room below `POOL/guests`, after quotas, reservations and redundancy. In MiB. */
  readonly available: number;
  /** What thin volumes and clones may still grow. VerifyDisks takes what fits into `available` less this. In MiB. */
  readonly promised: number;
  /** `ONLINE`, `DEGRADED`, … as zpool calls it. */
  readonly health: string;
  /** Of its free space; null where the pool doesn't know it. In %. */
  readonly fragmentation: number | null;
}

/** Why a call failed: docs/api.md has the table. */
export type Reason =
  | "request.malformed"
  | "request.missing_field"
  | "request.invalid"
  | "name.invalid"
  | "dataset.not_found"
  | "dataset.exists"
  | "dataset.wrong_type"
  | "dataset.busy"
  | "dataset.has_clones"
  | "dataset.protected"
  | "snapshot.newer_exist"
  | "snapshot.held"
  | "dataset.key_not_loaded"
  | "dataset.read_only"
  | "dataset.would_shrink"
  | "pool.not_found"
  | "pool.no_space"
  | "pool.unavailable"
  | "pool.read_only"
  | "image.not_found"
  | "image.http_status"
  | "image.source_not_found"
  | "image.source_error"
  | "image.unreachable"
  | "image.cut_short"
  | "image.bad_stream"
  | "image.source_refused"
  | "image.digest_mismatch"
  | "image.source_changed"
  | "backup.not_found"
  | "backup.damaged"
  | "backup.store_unreachable"
  | "backup.store_refused"
  | "job.not_found"
  | "job.cancelled"
  | "job.not_cancellable"
  | "peer.unknown"
  | "peer.unreachable"
  | "peer.refused"
  | "stream.cut_short"
  | "stream.invalid"
  | "dataset.diverged"
  | "dataset.fenced"
  | "service.overloaded"
  | "service.interrupted"
  | "service.stopping"
  | "service.reply_too_large"
  | "command.not_permitted"
  | "command.missing"
  | "command.timed_out"
  | "command.failed"
  | "records.unavailable"
  | "access.denied"
  | "internal";
