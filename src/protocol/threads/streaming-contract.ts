import type { MessagePort } from "node:worker_threads";
import type { Failure, Outcome } from "../storage/failures.js";
import type { FetchOrder, FetchReport } from "../storage/operations.js";

export interface StreamSettings {
  readonly fetchConnectMs: number;
  /** A fetch that moves no byte for this long is given up. */
  readonly fetchIdleMs: number;
}

/** The one task of a streaming thread; it ends when `port` closes. */
export interface StreamTask {
  readonly settings: StreamSettings;
  /** A folder that the daemon may write to. */
  readonly folder: string;
  readonly port: MessagePort;
  readonly children: SharedArrayBuffer;
}

/** What main asks of the streaming worker. `id` names the stream. */
export type StreamOrder =
  | {
      readonly kind: "send";
      readonly id: number;
      readonly command: readonly string[];
      /** Where the output goes; main is the reader. */
      readonly ring: SharedArrayBuffer;
      /** Bytes at the beginning of the output that nobody wants. */
      readonly skipBytes: number;
    }
  /** There is room again in the ring of a send. */
  | { readonly kind: "room"; readonly id: number }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "fetch"; readonly id: number; readonly order: FetchOrder };

/** What the streaming worker tells main. */
export type StreamNews =
  /** There are bytes in the ring of a send that main doesn't know of. */
  | { readonly kind: "bytes"; readonly id: number }
  /** The last word about a send; `failure` unless every byte is in the ring and the command exited 0. */
  | { readonly kind: "sent"; readonly id: number; readonly failure: Failure | undefined }
  | { readonly kind: "fetched"; readonly id: number; readonly outcome: Outcome<FetchReport> };
