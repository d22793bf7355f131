/**
 * The narrow seam to whatever speaks HTTP. Above it nobody knows uWebSockets.js or
 * node:http; below it nobody knows JSON-RPC.
 */

export type Headers = readonly (readonly [name: string, value: string])[];

/** A request whose body has come in whole, at most `limitBytes` of it. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** A header's value, "" when absent. `name` in lower case. */
  header(name: string): string;
  /** As UTF-8; what is none reads as U+FFFD. */
  readonly body: string;
  /** The body was longer than the limit; `body` is empty then. */
  readonly tooLarge: boolean;
}

/** The way back to one client. After the client is gone every call does nothing. */
export interface HttpReply {
  readonly gone: boolean;
  onGone(listener: () => void): void;
  /** A whole reply. A `Content-Length` is added. */
  send(status: number, headers: Headers, body: string | Uint8Array): void;
  /**
   * Begins a reply of unknown length, whose body comes from `source`. `onReady` is called when
   * a sink that was blocked can go on.
   */
  stream(status: number, headers: Headers, source: BodySource, onReady: () => void): BodySink;
}

/** Where a streamed body comes from. */
export interface BodySource {
  /** How many bytes can be taken now. */
  readonly available: number;
  /** The next of them, `limit` at most, in one piece; good until they are taken. */
  peek(limit: number): Uint8Array;
  /** The first `bytes` of them are on their way. */
  take(bytes: number): void;
}

/** The body of a streamed reply. */
export interface BodySink {
  /** Whether the client must take some of what it was given before there can be more. */
  readonly isBlocked: boolean;
  /** Writes one piece. @returns its bytes; 0 when blocked, or when too little is there. */
  pump(): number;
  /**
   * To be called when the source has all it will ever have, and `pump` did nothing, not being
   * blocked. Ends the reply cleanly; `onFlushed` is called when the last byte has left.
   */
  end(onFlushed: () => void): void;
  /** Cuts the connection, so that nobody takes half a stream for a whole one. */
  reset(): void;
}

export interface Listener {
  readonly port: number;
  /** No new connections; those that are open may finish. */
  stopAccepting(): void;
  /** Closes what is still open. */
  close(): Promise<void>;
}

export interface TransportOptions {
  readonly host: string;
  readonly port: number;
  readonly bodyLimitBytes: number;
  handle(request: HttpRequest, reply: HttpReply): void;
}

export interface Transport {
  readonly name: "uws" | "node";
  /** Rejects with a code: EADDRINUSE, EACCES, EADDRNOTAVAIL, … */
  listen(options: TransportOptions): Promise<Listener>;
}

/** How much of a body that is too long is read and thrown away, so that the client gets its answer. */
export const DISCARD_FACTOR = 64;
