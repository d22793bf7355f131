import type { Headers, HttpLimits, HttpRequest } from "../http/transport.js";
import type { Failure } from "../storage/failures.js";

/**
 * What main and the streaming worker say to each other about bulk downloads. The worker has the
 * connections; main decides what becomes of each request (docs/decisions/bulk.md).
 */

/** A pace that threads share, see createPace. */
export interface PaceSettings {
  readonly bytesPerSecond: number;
  readonly memory: SharedArrayBuffer;
}

/** Where and how the streaming worker listens for bulk downloads. */
export interface BulkSettings {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly limits: HttpLimits;
  /** A client that takes nothing for this long is cut off. */
  readonly stalledReaderMs: number;
  /** What all downloads of the node are held to together; undefined: nothing. */
  readonly pace: PaceSettings | undefined;
  /** Requests are numbered from here on: no two threads give the same number. */
  readonly firstRequest: number;
}

/** A request as it comes to main. `headers` has only those that main looks at. */
export interface BulkRequest extends Pick<HttpRequest, "method" | "path" | "query" | "body" | "tooLarge"> {
  readonly headers: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly peer: string;
}

export type BulkOrder =
  /** Answers a request with a whole reply. */
  | {
      readonly kind: "answer";
      readonly request: number;
      readonly status: number;
      readonly headers: Headers;
      readonly body: string;
    }
  /** Writes the head of a reply, and gives the connection to a command as its stdout. */
  | {
      readonly kind: "hand";
      readonly request: number;
      /** What the send is known by from now on, also for `cancel`. */
      readonly id: number;
      readonly headers: Headers;
      readonly command: readonly string[];
      /** What the stream is held to; undefined: what holds all together. */
      readonly bytesPerSecond?: number | undefined;
    }
  /** Takes no new connection. Requests that have come are answered. */
  | { readonly kind: "close-bulk" };

/** How far a bulk send has come, as the kernel tells it. */
export interface BulkProgress {
  /** What the command has written; undefined where the kernel does not tell. */
  readonly written: number | undefined;
  /** Bytes that are on their way, and that the client's machine has not confirmed; undefined: not looked at. */
  readonly queued: number | undefined;
  /** Whether the client must take something before the send can go on. */
  readonly waitsForClient: boolean;
  /** How long nothing has moved, in ms. */
  readonly stillMs: number;
}

/** How a bulk send ended. "gone": the client went. "stalled": it took nothing for `stalledReaderMs`. */
export type BulkEnd =
  | { readonly kind: "complete" }
  | { readonly kind: "gone" }
  | { readonly kind: "stalled" }
  | { readonly kind: "failed"; readonly failure: Failure };

export type BulkEvent =
  | { readonly kind: "listening"; readonly port: number }
  /** It can't listen. It tries again after a while, unless main gives up. */
  | { readonly kind: "not-listening"; readonly code: string; readonly message: string }
  | { readonly kind: "asked"; readonly request: number; readonly asked: BulkRequest }
  /** The client has gone before its request was answered. */
  | { readonly kind: "left"; readonly request: number }
  /** A connection was refused because of `limits.connections`. */
  | { readonly kind: "refused" }
  /** The head is written and the command runs. */
  | { readonly kind: "begun"; readonly id: number }
  | { readonly kind: "progress"; readonly id: number; readonly progress: BulkProgress }
  /**
   * The command has ended well: all bytes are with the kernel, and the end of the connection follows
   * them. `bytes`: how many; undefined where that can't be told for sure.
   */
  | { readonly kind: "written"; readonly id: number; readonly bytes: number | undefined }
  /**
   * The last event of a send: its command has ended, and its connection is closed. Where `hasBegun`
   * is false, nothing of the reply was written: the request is still to be answered.
   */
  | {
      readonly kind: "bulk-ended";
      readonly id: number;
      readonly end: BulkEnd;
      readonly hasBegun: boolean;
      readonly written: number | undefined;
    };
