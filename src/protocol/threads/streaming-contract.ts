import type { MessagePort } from "node:worker_threads";
import type { StoreDone, StoreOrder } from "../backups/store-orders.js";
import type { Failure, Outcome } from "../storage/failures.js";
import type { FetchOrder, FetchReport } from "../storage/operations.js";
import type { BulkEvent, BulkOrder, BulkSettings } from "./bulk-contract.js";

/** How a fetch that breaks is repeated. */
export interface FetchRepeats {
  /** Requests in a row that bring no byte, until the fetch is given up. 1: it is never repeated. */
  readonly attempts: number;
  /** Before each repeat it waits for a random part of this, which doubles with each that brought nothing. */
  readonly firstDelayMs: number;
  readonly mostDelayMs: number;
}

export interface StreamSettings {
  readonly fetchConnectMs: number;
  /** A fetch that receives no byte for this long fails. */
  readonly fetchIdleMs: number;
  readonly repeats: FetchRepeats;
  /** How many parts of an image are fetched at once; 1: it is fetched as a whole. */
  readonly ranges: number;
  /** How many requests of all threads may run at one host, and the memory in which they are counted. */
  readonly atHost: { readonly limit: number; readonly taken: SharedArrayBuffer };
  /** Certificates, PEM, of those that sign for https sources, beside those that Node knows. */
  readonly ca: readonly string[] | undefined;
}

/** The only task of a streaming thread. It ends when `port` closes. */
export interface StreamTask {
  readonly settings: StreamSettings;
  /** Where it listens for bulk downloads; undefined: nowhere. */
  readonly bulk: BulkSettings | undefined;
  /** A folder that the daemon may write to. */
  readonly folder: string;
  /** Where it counts its own requests; see host-slots.ts. */
  readonly atHost: SharedArrayBuffer;
  /** Carries StreamOrder to the worker and StreamEvent to main. */
  readonly port: MessagePort;
  /** The memory of a ChildTable: main kills what it lists if the thread crashes. */
  readonly children: SharedArrayBuffer;
}

/** What main orders the streaming worker to do. `id` identifies the send or fetch in later messages. */
export type StreamOrder =
  | {
      readonly kind: "send";
      readonly id: number;
      readonly command: readonly string[];
      /** The memory of the ring that takes the output; main reads it. */
      readonly ring: SharedArrayBuffer;
      /** How many bytes at the start of the output are dropped. */
      readonly skipBytes: number;
    }
  /** The ring of a send has room again. */
  | { readonly kind: "room"; readonly id: number }
  | { readonly kind: "cancel"; readonly id: number }
  | {
      readonly kind: "fetch";
      readonly id: number;
      readonly order: FetchOrder;
      /** Where the worker writes how far the fetch has come; see fetch-progress.ts. */
      readonly progress: SharedArrayBuffer;
      /** Where the order has a `body`: the memory of the ring that main writes it into, and its length if that is known. */
      readonly body?: { readonly ring: SharedArrayBuffer; readonly length: number | undefined };
    }
  /** The ring of a fetch's body has bytes that the worker has not seen. */
  | { readonly kind: "written"; readonly id: number }
  /** All of a body that comes is in its ring. `isWhole`: that is all of it; else its client has gone. */
  | { readonly kind: "bodyEnded"; readonly id: number; readonly isWhole: boolean }
  | {
      readonly kind: "store";
      readonly id: number;
      readonly order: StoreOrder;
      /** As of a fetch: `receivedBytes` are those that it has moved. */
      readonly progress: SharedArrayBuffer;
    }
  /** Asks for a `pong` with the same id. */
  | { readonly kind: "ping"; readonly id: number }
  | BulkOrder;

/** What the streaming worker reports to main. */
export type StreamEvent =
  /** The ring of a send has bytes that main has not seen. */
  | { readonly kind: "bytes"; readonly id: number }
  /** A send ended. Without `failure`, every byte is in the ring and the command exited with 0. */
  | { readonly kind: "sent"; readonly id: number; readonly failure: Failure | undefined }
  /** The receiver of a fetch has taken bytes. Sent now and then. */
  | { readonly kind: "moved"; readonly id: number }
  /** The ring of a fetch's body has room again. */
  | { readonly kind: "taken"; readonly id: number }
  | { readonly kind: "fetched"; readonly id: number; readonly outcome: Outcome<FetchReport> }
  | { readonly kind: "stored"; readonly id: number; readonly outcome: Outcome<StoreDone> }
  /** The thread works. */
  | { readonly kind: "pong"; readonly id: number; readonly said: StreamingReport }
  | BulkEvent;

/** What the streaming worker says of itself. */
export interface StreamingReport {
  /** The processes of the sends and fetches, by their ids. */
  readonly pids: ReadonlyMap<number, number>;
  /** Open connections for bulk downloads. */
  readonly bulkConnections: number;
}
