import type { BackupOperations } from "./backup-operations.js";
import type { FailedOutcome, Failure, Outcome } from "./failures.js";
import type { ImageHosts } from "./image-hosts.js";
import type { ImageExpectation, ImageRequest } from "./image-request.js";
import type { ComponentId, DatasetName, SnapshotName } from "./names.js";
import type { Page } from "./page.js";
import type {
  DoomedRecord,
  GuestRecord,
  ImageRecord,
  PoolRecord,
  PulledVolume,
  QuotaRecord,
  ReceiveRecord,
  SnapshotRecord,
  VolumeRecord,
} from "./records.js";
import type { SendDescription, SendPlan, SendTerms, StreamAllowance, StreamHead } from "./send-terms.js";
import type { SnapshotOperations } from "./snapshot-operations.js";
import type { Bytes } from "./units.js";
import type { NewVolumeSettings, SettingChanges } from "./volume-settings.js";

/**
 * The operations of a pool's actor: the members of each (`ask`) and its answer. Every name in an
 * operation is checked, full, and in the actor's pool.
 */
export interface Operations extends BackupOperations, SnapshotOperations {
  /** `trash`: those that were deleted while they had clones, and no others. */
  ListImages: { ask: { type: string; trash?: true } & Page; answer: readonly ImageRecord[] };
  GetImage: { ask: { id: string }; answer: ImageRecord };
  /** `caller`: for CallerLeft; without it the call waits whatever becomes of its client. */
  RequestImage: { ask: ImageRequest & { caller?: number }; answer: ImageRecord };
  /** `whenInUse`: one with clones goes into the trash. Without it that is refused. */
  DeleteImage: { ask: { id: string; whenInUse?: "trash" }; answer: ImageRecord };
  /**
   * Deletes the images without clones that are as old, and for as long not used, as is asked for. 0: any. `type`: only
   * of that; "" for all.
   */
  PruneImages: {
    ask: { olderThanSeconds: number; unusedForSeconds: number; type: string };
    answer: readonly ImageRecord[];
  };
  /** Brings an image back from the trash. `volume`: which of several that had the id, by its name there. */
  RestoreImage: { ask: { id: ComponentId; volume?: string }; answer: ImageRecord };
  CloneImage: { ask: { id: string; target: DatasetName }; answer: VolumeRecord };
  /**
   * `tag`: only volumes that have it; with `value`, only those that have it with that value. `origin`: only
   * clones of that snapshot, or of any snapshot of that volume.
   */
  ListVolumes: {
    ask: Page & { tag?: TagFilter; origin?: DatasetName | SnapshotName };
    answer: readonly VolumeRecord[];
  };
  CreateVolume: {
    ask: { name: DatasetName; size: Bytes; settings?: NewVolumeSettings };
    answer: VolumeRecord;
  };
  GetVolume: { ask: { name: DatasetName }; answer: VolumeRecord };
  /** `allowDataLoss`: the volume may become smaller, and lose what is behind its new end. */
  ResizeVolume: {
    ask: { name: DatasetName; size: Bytes; allowDataLoss: boolean };
    answer: VolumeRecord;
  };
  RenameVolume: { ask: { name: DatasetName; target: DatasetName }; answer: VolumeRecord };
  /** Swaps a clone with the volume that it was cloned from, which then is its clone. */
  PromoteVolume: { ask: { name: DatasetName }; answer: VolumeRecord };
  CloneSnapshot: { ask: { name: SnapshotName; target: DatasetName }; answer: VolumeRecord };
  SetVolume: { ask: { name: DatasetName; changes: SettingChanges }; answer: VolumeRecord };
  /** A volume that shares nothing with its source. `caller`: for CallerLeft. */
  CopyVolume: {
    ask: { name: DatasetName | SnapshotName; target: DatasetName; caller?: number };
    answer: VolumeRecord;
  };
  GetVolumeProperties: { ask: { name: DatasetName }; answer: VolumeRecord };
  DeleteDataset: { ask: { name: DatasetName | SnapshotName }; answer: VolumeRecord };
  /**
   * What a receiver needs of a volume's newest snapshot, or of the one that is named. `have`: the guids of the
   * snapshots that it has, newest first. `next`: of a snapshot of the volume that would be taken now.
   */
  GetSendPlan: {
    ask: { name: DatasetName | SnapshotName; have: readonly string[]; next?: boolean };
    answer: SendPlan;
  };
  /**
   * Makes or updates a copy of a volume of another daemon. `source`: that volume, or a snapshot of it, as the peer
   * names it. `force`: what the copy has and its source has not is destroyed. `caller`: as of RequestImage.
   */
  PullVolume: {
    ask: {
      target: DatasetName;
      peer: string;
      source: string;
      force: boolean;
      caller?: number;
    };
    answer: PulledVolume;
  };
  /** As PullVolume, again and again, of snapshots that are made for it, until little is left to come. */
  MigrateVolume: { ask: Operations["PullVolume"]["ask"]; answer: PulledVolume };
  /** Fences the source, pulls what is left, and makes the copy writable. */
  FinishMigration: { ask: Operations["PullVolume"]["ask"]; answer: PulledVolume };
  /** Lets nothing change a volume any more, and answers its last snapshot, which is `snapshot` the first time. */
  FenceVolume: { ask: { name: DatasetName; snapshot: SnapshotName }; answer: SnapshotRecord };
  UnfenceVolume: { ask: { name: DatasetName }; answer: VolumeRecord };
  /** Makes or updates a volume by a client's stream. `body`: as of FetchOrder. `force`: what is in its way goes. */
  ReceiveVolume: {
    ask: { target: DatasetName; stream: StreamHead; body: number; force: boolean; caller?: number };
    answer: PulledVolume;
  };
  /** Tells of a receive into a volume that runs, or has broken and can go on. */
  GetReceive: { ask: { name: DatasetName }; answer: ReceiveRecord };
  /** Gives up a receive into a volume that has broken and could go on: what has come of it goes. */
  AbandonReceive: { ask: { name: DatasetName }; answer: VolumeRecord };
  VerifyDisks: { ask: { guest: GuestRecord }; answer: GuestRecord };
  CreateGuestDisks: { ask: { guest: GuestRecord }; answer: GuestRecord };
  DeleteGuestsDisks: { ask: { guest: GuestRecord }; answer: GuestRecord };
  /** A guest without a dataset has no quota and takes nothing. */
  GetGuestQuota: { ask: { name: DatasetName }; answer: QuotaRecord };
  /** `quota`: 0 for none. The guest's dataset is made if it is missing. */
  SetGuestQuota: { ask: { name: DatasetName; quota: Bytes }; answer: QuotaRecord };
  GetPool: { ask: object; answer: PoolRecord };
  /** What a change would answer now, and what it would destroy. It changes nothing. Fails as the change would. */
  DryRun: { ask: { of: DestroyingOperation }; answer: DryRunAnswer };
  /**
   * A request about `name` that must be refused for `failure`. What does not exist is told first:
   * agents turn the words `not found` into a 404, and all others into a 500.
   */
  Refuse: { ask: { name: DatasetName | SnapshotName; failure: Failure }; answer: never };
  /**
   * Prepares a download: holds what is sent, and gives the command that sends it. With `isDirect` the
   * command will write to the client itself, and what makes it fail can't be told to the client any
   * more: it is looked for before.
   */
  OpenSend: {
    ask: { name: SnapshotName; terms?: SendTerms; isDirect?: boolean; wantsEstimate?: boolean };
    answer: SendTicket;
  };
  /** Tells of the stream that OpenSend would prepare. Nothing is sent or held. */
  DescribeSend: { ask: { name: SnapshotName; terms?: SendTerms }; answer: SendDescription };
  /** Ends a download, complete or not: releases one of its holds. */
  CloseSend: { ask: { name: SnapshotName; tag: string }; answer: null };
}

/** The operations that destroy something, and can be tried without that. */
export const DESTROYING = [
  "DeleteImage",
  "PruneImages",
  "DeleteDataset",
  "DeleteSnapshot",
  "RollbackSnapshot",
  "DeleteBookmark",
  "DeleteGuestsDisks",
  "PullVolume",
  "MigrateVolume",
  "FinishMigration",
] as const satisfies readonly OperationName[];

export type DestroyingName = (typeof DESTROYING)[number];
export type DestroyingOperation = {
  [K in DestroyingName]: { readonly op: K } & Ask<K>;
}[DestroyingName];

export interface DryRunAnswer<K extends DestroyingName = DestroyingName> {
  /** What the change itself would answer. */
  readonly answer: Answer<K>;
  readonly destroys: readonly DoomedRecord[];
}

/** A tag that volumes must have. */
export interface TagFilter {
  readonly name: string;
  readonly value?: string;
}

export type OperationName = keyof Operations;
export type Ask<K extends OperationName> = Operations[K]["ask"];
export type Answer<K extends OperationName> = Operations[K]["answer"];

/**
 * An operation as it is sent to an actor. `requestId`: of the request that it serves, for the log. `trace`: the
 * span that it is below, as parentText writes it; undefined unless it is traced.
 */
export type Operation = {
  [K in OperationName]: { readonly op: K; readonly requestId?: string; readonly trace?: string } & Ask<K>;
}[OperationName];

/** A snapshot that is held under a tag until CloseSend. */
export interface SendHold {
  readonly name: SnapshotName;
  readonly tag: string;
}

/** A snapshot that is ready to be sent, and its hold. */
export interface SendTicket extends SendHold {
  /** The holds of what the command needs beside it. */
  readonly baseHolds?: readonly SendHold[];
  /** Sends of one hold with the same kind give the same bytes. Undefined: the full stream; `null`: no other does. */
  readonly kind?: string | null;
  /** The argv of the command that writes the stream to its stdout. */
  readonly command: readonly string[];
  /** About how many bytes the stream has, where that was asked for and the pool tells. */
  readonly estimatedBytes?: number | undefined;
}

/** Where an image may be fetched from. */
export interface ImageSource {
  /** May have a password or a signature: for errors and logs see `shownUrl`. */
  readonly url: string;
  /** The hosts that `url` and its redirects may name. */
  readonly hosts: ImageHosts;
}

/** What fetches have cost that failed. */
export interface FetchSpent {
  readonly requests: number;
  /** Those that came again included. */
  readonly bytes: number;
}

/** An image fetch, from an actor by way of main to the streaming worker. */
export interface FetchOrder extends ImageSource, ImageExpectation {
  /**
   * Where it goes on if its own source fails when the receiver has bytes already, in order. Only with a digest,
   * which proves that they have the same object.
   */
  readonly alternates?: readonly ImageSource[];
  /** By fetches of the same request from other sources. */
  readonly spent?: FetchSpent;
  /** The dataset that the stream becomes. */
  readonly target: DatasetName;
  /** The argv of the command that reads the stream from its stdin, such as `zfs receive`. */
  readonly command: readonly string[];
  /** Where the stream comes from a command and not from `url`, which only names it then: a copy. */
  readonly sender?: { readonly command: readonly string[]; readonly totalBytes: number | undefined };
  /** Where it comes from a client and not from `url`, which only names it then: the number of its body in main. */
  readonly body?: number;
  /** Of the request, beside its own; they go along a redirect to the same host. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What its host is trusted by beside what all are, in PEM. */
  readonly ca?: string;
  /** It is not repeated where it breaks: whoever orders it goes on in another way. */
  readonly isOnce?: boolean;
  /** Where the stream breaks, the command is not killed: it keeps what has come, and ends with its input. */
  readonly endsByInput?: boolean;
  /** What the stream may be beside a full one of a single snapshot. */
  readonly allows?: StreamAllowance;
}

export interface FetchReport {
  /** Bytes of the body as transferred, gzipped or not. */
  readonly receivedBytes: number;
  /** Bytes of the stream that the command has read. */
  readonly streamBytes: number;
}

/** How a fetch has ended. `spent`: what one that failed has cost, where that is known. */
export type FetchOutcome =
  | { readonly ok: true; readonly value: FetchReport }
  | (FailedOutcome & { readonly spent?: FetchSpent });

export type OperationHandlers = {
  readonly [K in OperationName]: (ask: Ask<K>) => Promise<Outcome<Answer<K>>>;
};
