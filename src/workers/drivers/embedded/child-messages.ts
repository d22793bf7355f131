import type { DatasetName, SnapshotName } from "../../../protocol/storage/names.js";
import type { Properties } from "../driver.js";

/** What the sending process is told, as JSON in its one argument. */
export interface SendOrder {
  readonly name: SnapshotName;
  /** Absolute path of the snapshot's data. */
  readonly file: string;
  readonly guid: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Bytes. */
  readonly volsize: string;
  readonly volblocksize: number;
}

/** What the receiving process is told, as JSON in its one argument. */
export interface ReceiveOrder {
  readonly target: DatasetName;
  /** Where it makes what it receives; a new folder. */
  readonly folder: string;
  readonly properties: Properties;
  /** The volume of this name that exists: an increment goes onto it. */
  readonly onto: { readonly id: number; readonly readonly: boolean } | undefined;
  /** Its last snapshot. */
  readonly base: { readonly guid: string; readonly file: string; readonly volblocksize: number } | undefined;
}

/** What the receiving process leaves in `RECEIVED_FILE` when all is on the disk. */
export interface ReceivedStream {
  /** Name of the data's file in the folder. */
  readonly file: string;
  readonly guid: string;
  readonly tag: string;
  readonly created: number;
  readonly volsize: string;
  readonly volblocksize: number;
  readonly properties: Properties;
  readonly onto: number | undefined;
}

export const RECEIVED_FILE = "received.json";
