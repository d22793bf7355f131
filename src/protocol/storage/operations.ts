import type { Outcome } from "./failures.js";
import type { ComponentId, DatasetName, PoolName, SnapshotName } from "./names.js";
import type { GuestRecord, ImageRecord, PoolRecord, SnapshotRecord, VolumeRecord } from "./records.js";
import type { Bytes } from "./units.js";

/**
 * What a pool actor can be asked to do, with its answer. Every name in an
 * operation is checked, full, and in the actor's own pool.
 */
export interface Operations {
  ListImages: { ask: { type: string }; answer: readonly ImageRecord[] };
  GetImage: { ask: { id: string }; answer: ImageRecord };
  RequestImage: { ask: { id: ComponentId; type: string; source: string }; answer: ImageRecord };
  DeleteImage: { ask: { id: string }; answer: ImageRecord };
  CloneImage: { ask: { id: string; target: DatasetName }; answer: VolumeRecord };
  ListVolumes: { ask: object; answer: readonly VolumeRecord[] };
  CreateVolume: { ask: { name: DatasetName; size: Bytes }; answer: VolumeRecord };
  GetVolume: { ask: { name: DatasetName }; answer: VolumeRecord };
  DeleteDataset: { ask: { name: DatasetName | SnapshotName }; answer: VolumeRecord };
  ListSnapshots: { ask: { root: DatasetName | PoolName }; answer: readonly SnapshotRecord[] };
  GetSnapshot: { ask: { name: SnapshotName }; answer: SnapshotRecord };
  CreateSnapshot: {
    ask: { dataset: DatasetName; snapshot: SnapshotName; recursive: boolean };
    answer: readonly SnapshotRecord[];
  };
  DeleteSnapshot: {
    ask: { name: SnapshotName; recursive: boolean };
    answer: readonly SnapshotRecord[];
  };
  RollbackSnapshot: {
    ask: { name: SnapshotName; destroyMoreRecent: boolean };
    answer: SnapshotRecord;
  };
  VerifyDisks: { ask: { guest: GuestRecord }; answer: GuestRecord };
  CreateGuestDisks: { ask: { guest: GuestRecord }; answer: GuestRecord };
  DeleteGuestsDisks: { ask: { guest: GuestRecord }; answer: GuestRecord };
  GetPool: { ask: object; answer: PoolRecord };
  /** Takes a hold for a download and says which command sends the bytes. */
  OpenSend: { ask: { name: SnapshotName }; answer: SendTicket };
  /** Releases the hold of a finished or broken download. */
  CloseSend: { ask: { name: SnapshotName; tag: string }; answer: null };
}

export type OperationName = keyof Operations;
export type Ask<K extends OperationName> = Operations[K]["ask"];
export type Answer<K extends OperationName> = Operations[K]["answer"];

/** One operation as it travels to an actor. */
export type Operation = { [K in OperationName]: { readonly op: K } & Ask<K> }[OperationName];

/** The permission to read a snapshot: held under `tag` until CloseSend. */
export interface SendTicket {
  readonly name: SnapshotName;
  readonly tag: string;
  readonly command: readonly string[];
}

/** What an actor asks its main thread to have done by the streaming worker. */
export interface FetchOrder {
  readonly url: string;
  /** The `zfs receive` to feed. */
  readonly command: readonly string[];
  /** Expected SHA-256 of the body as transferred, in hex, when one is known. */
  readonly digest?: string;
}

export interface FetchReport {
  readonly receivedBytes: number;
  readonly streamBytes: number;
}

export type OperationHandlers = {
  readonly [K in OperationName]: (ask: Ask<K>) => Promise<Outcome<Answer<K>>>;
};
