import type { DatasetName, PoolName, SnapshotName } from "../../../protocol/storage/names.js";
import type { Properties } from "../driver.js";

/** What the send process gets, as JSON in its one argument. Sizes are bytes. */
export interface SendRequest {
  readonly name: SnapshotName;
  /** The absolute path of the snapshot's data. */
  readonly file: string;
  readonly guid: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Decimal: JSON has no 64-bit integers. */
  readonly volsize: string;
  readonly volblocksize: number;
  /** Where the rest of a stream begins in the volume, bytes; undefined: the stream is whole. */
  readonly resumeAt?: number;
  /** What an incremental stream builds on. */
  readonly base?: {
    readonly guid: string;
    /** The absolute path of its data; undefined where only its bookmark is left. */
    readonly data?: { readonly name: SnapshotName; readonly file: string; readonly volsize: string };
  };
}

/** What the receive process gets, as JSON in its one argument. */
export interface ReceiveRequest {
  readonly pool: PoolName;
  readonly target: DatasetName;
  /** The absolute path of the folder that it creates for what it receives. */
  readonly folder: string;
  /** What has come of a stream that breaks is to be kept. */
  readonly keeps: boolean;
  /** The folder is there, with what has come of a stream that broke: only the rest of that one is received. */
  readonly goesOn: boolean;
  /** What is in the folder already, and so needs no room any more. Decimal, bytes. */
  readonly taken: string;
  /** Its parent. With another one, the daemon has ended. */
  readonly daemonPid: number;
  /** The user properties that the new volume gets. */
  readonly properties: Properties;
  /** A larger volume is refused. Decimal, bytes. */
  readonly largestVolume: string;
  /** The target, if it exists: an incremental stream is received onto it. `file`: its name, without a folder. */
  readonly existing: { readonly id: number; readonly readonly: boolean; readonly file: string } | undefined;
  /** The id of the snapshot that the target becomes a clone of, which is the base then. */
  readonly originId: number | undefined;
  /**
   * The last snapshot of the target, which an incremental stream must build on. `file`: an absolute path.
   * `copyBytes`: what a copy of it takes of the disk; 0 where it shares its blocks.
   */
  readonly base:
    | {
        readonly name: SnapshotName;
        readonly copyBytes: number;
        readonly guid: string;
        readonly file: string;
        readonly volsize: string;
        readonly volblocksize: number;
      }
    | undefined;
}

/** What the receive process writes to `REPORT_FILE` in its folder once all data is on the disk. */
export interface ReceiveReport {
  /** The name of the data's file in the folder. */
  readonly file: string;
  readonly guid: string;
  /** The part of the snapshot's name behind "@". */
  readonly tag: string;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Decimal, bytes. */
  readonly volsize: string;
  readonly volblocksize: number;
  readonly properties: Properties;
  /** The volume that an incremental stream was received onto, as it was then. */
  readonly existing:
    | { readonly id: number; readonly file: string; readonly baseGuid: string | undefined }
    | undefined;
  /** Of the request. */
  readonly originId: number | undefined;
}

export const REPORT_FILE = "received.json";
/** The name of the data's file in the folder. */
export const DISK_FILE = "disk";

/*
 * Both sides are this version of this program, and a start removes the reports of earlier runs:
 * the messages are trusted to have the shape that they were written with.
 */

export function parseSendRequest(argument: string | undefined): SendRequest {
  return JSON.parse(argument ?? "");
}

export function parseReceiveRequest(argument: string | undefined): ReceiveRequest {
  return JSON.parse(argument ?? "");
}

export function parseReceiveReport(text: string): ReceiveReport {
  return JSON.parse(text);
}
