import type { BackupProfile } from "../storage/backup-profile.js";
import type { JobProgress } from "../storage/job-record.js";
import type { Manifest } from "./manifest.js";
import type { StoredObject } from "./object-names.js";

/** What a manifest says before the bytes are counted. */
export type ManifestStart = Omit<Manifest, "bytes" | "sha256" | "parts" | "times" | "encryption">;

/** What the streaming worker can be asked to do with a store, and what it answers. */
export interface StoreTasks {
  /** All objects below a folder, `""` for all of the profile. */
  list: { ask: { folder: string }; answer: readonly StoredObject[] };
  /** The manifests of backups, by their ids; null where one can't be used. */
  read: { ask: { ids: readonly string[] }; answer: readonly (Manifest | null)[] };
  /** Runs a command that sends a snapshot, stores what it writes, and commits it by its manifest. */
  upload: {
    ask: { command: readonly string[]; manifest: ManifestStart; estimatedBytes: number | undefined };
    answer: Manifest;
  };
  /**
   * Looks whether chains can be restored, each from its full backup on: whether every object is there with its
   * size; with `content` also whether each is what was stored, and a stream that joins the one before, which of an
   * encrypted one is seen with the profile's identities only. With `opens` these must be there for encrypted ones.
   */
  check: {
    ask: { chains: readonly (readonly string[])[]; content: boolean; opens: boolean };
    answer: { readonly manifests: readonly Manifest[]; readonly bytes: number };
  };
  /** Gives the data of a backup to a command that receives it. */
  receive: { ask: { manifest: Manifest; command: readonly string[] }; answer: null };
  /** Removes backups, in this order, each its manifest first. */
  remove: { ask: { ids: readonly string[] }; answer: null };
  /** Removes what is left of backups that did not end, once it is old. Answers what it is. */
  clear: { ask: { folder: string; dryRun: boolean }; answer: readonly string[] };
}

export type StoreTaskName = keyof StoreTasks;
export type StoreAnswer<K extends StoreTaskName> = StoreTasks[K]["answer"];

/** What the worker has done. */
export type StoreDone<K extends StoreTaskName = StoreTaskName> = {
  [P in K]: { readonly task: P; readonly value: StoreAnswer<P> };
}[K];

/** One of these, for the streaming worker. */
export type StoreOrder<K extends StoreTaskName = StoreTaskName> = {
  [P in K]: {
    readonly task: P;
    readonly profile: BackupProfile;
    /** The name of the profile, for words. */
    readonly profileName: string;
    /** The job that it is a part of; undefined: none asks how far it is. */
    readonly part?: OrderPart;
  } & StoreTasks[P]["ask"];
}[K];

/** What an order is of the whole work of a job. */
export interface OrderPart {
  /** As partKeyOf gives it: equal for all orders of the job. */
  readonly key: string | undefined;
  readonly phase: JobProgress["phase"];
  /** Bytes that earlier orders have moved, and of all together; null where that is not known. */
  readonly before: number;
  readonly total: number | null;
}
