import type { Span } from "../tracing/span.js";
import type { AcceptedChannel } from "./channel.js";

/**
 * The narrow seam to the HTTP server. Nothing above it knows uWebSockets.js or node:http, and
 * nothing below it knows JSON-RPC.
 */

export type Headers = readonly (readonly [name: string, value: string])[];

/** The body of a whole reply. In parts: they are written one after another, and not copied. */
export type ReplyBody = string | Uint8Array | readonly Uint8Array[];

/** Takes the body of a request piece by piece. */
export interface BodyTaker {
  /** The memory of a piece is used again after the call. */
  onPiece(piece: Uint8Array): void;
  /** Called once, last. `isWhole`: the client has sent all of the body; else it has gone. */
  onEnd(isWhole: boolean): void;
}

/** A body that is not gathered, because it may be of any length. */
export interface IncomingBody {
  /** How many bytes it has, where the client says so. */
  readonly length: number | undefined;
  /** To be called while the request is handled: pieces that come before are lost. What is not taken is discarded. */
  start(taker: BodyTaker): void;
  /** Takes nothing more from the client; some pieces that are here already may still come. */
  pause(): void;
  resume(): void;
}

/** A request whose body has arrived completely, up to `bodyBytes` of HttpLimits. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** A header's value, "" when absent. Only "content-type" and "accept-encoding" are sure to be kept. */
  header(name: string): string;
  /** Decoded as UTF-8; bytes that are not UTF-8 become U+FFFD. */
  readonly body: string;
  /** The body was longer than the limit; `body` is empty then. */
  readonly tooLarge: boolean;
  /** Where `streams` of TransportOptions says so, instead of `body`, which is empty then. */
  readonly incoming?: IncomingBody | undefined;
}

/** A certificate and its key, by which a listener is known, in PEM. */
export interface TlsMaterial {
  /** Where they are. What these files hold is in the other members too. */
  readonly certFile: string;
  readonly keyFile: string;
  /** The certificate, and behind it those between it and its CA. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** The certificates of those that sign clients'. Undefined: clients are asked for none. */
  readonly clientCa?: Buffer | undefined;
  /** Lists of what they have revoked: one of each of them. */
  readonly crl?: Buffer | undefined;
}

/** Whether these members of two are the same, byte for byte. */
export function haveSame(
  one: TlsMaterial,
  other: TlsMaterial,
  members: readonly ("cert" | "key" | "clientCa" | "crl")[],
): boolean {
  return members.every((name) => (one[name] ?? NOTHING).equals(other[name] ?? NOTHING));
}

const NOTHING = Buffer.alloc(0);

/** The certificate that a client has shown. */
export interface ClientCertificate {
  /** As `O=Cloud, CN=agent`, in the certificate's order. */
  readonly subject: string;
  /** Its SHA-256, as 64 hex digits. */
  readonly fingerprint: string;
  /** In ms since 1970. */
  readonly expiresAt: number;
  /** Why it proves nothing, as "it has expired". Undefined: one that is trusted has signed it. */
  readonly problem: string | undefined;
}

/** What a connection with TLS tells of its client. */
export interface TlsConnection {
  readonly certificate: ClientCertificate | undefined;
  /** The connection is closed with its next answer. */
  readonly isLast: boolean;
}

/**
 * The reply to one request. Once the client has disconnected, every call does nothing. After the
 * reply has begun, `send` does nothing.
 */
export interface WholeReply {
  /** Of the request, the client's own or ours: see createRequestIds. Sent as X-Request-Id. */
  readonly requestId: string;
  /** The client's address; "" if it is asked for the first time when the client has gone. */
  readonly peer: string;
  /** Undefined: the connection is not encrypted, or is closed. */
  readonly tls?: TlsConnection | undefined;
  /** Of the request, where it is traced. Whoever works on the request begins spans below it. */
  span?: Span | undefined;
  /** The client disconnected before it had the whole reply. */
  readonly isDisconnected: boolean;
  /** `listener` is called once, when that happens. Not called if it has happened already. */
  onDisconnect(listener: () => void): void;
  /**
   * `listener` is called once: when the kernel has all of a whole reply, or when the client has gone.
   * At once if that has happened already.
   */
  onEnd(listener: () => void): void;
  /** Sends a whole reply. Adds `Content-Length`. */
  send(status: number, headers: Headers, body: ReplyBody): void;
}

/** A reply that may also be a stream. */
export interface HttpReply extends WholeReply {
  /**
   * Starts a reply of unknown length, whose body comes from `source`. `onReady` is called when
   * a sink that was blocked can take more.
   */
  stream(status: number, headers: Headers, source: BodySource, onReady: () => void): BodySink;
}

/** A reply as its transport knows it. */
export interface ClosableReply extends HttpReply {
  /** Closes the connection after `send`, because the body of its request was not read to its end. */
  closeAfter: boolean;
  /** Runs the write of a whole reply that has to wait. Undefined: it is written soon. */
  later: ((write: () => void) => void) | undefined;
}

/** Where the body of a streamed reply comes from. */
export interface BodySource {
  /**
   * Its bytes come now and then, and none of them may be held back until the next ones. Until it is complete
   * it always has one more byte behind them, which means nothing to the client: a filler.
   */
  readonly isLive?: boolean;
  /** How many bytes can be taken now. */
  readonly available: number;
  /** The next bytes, at most `limit`, in one piece; valid until they are taken. */
  peek(limit: number): Uint8Array;
  /** Takes the next `bytes`: their memory may be used again. */
  take(bytes: number): void;
}

/** The body of a streamed reply. */
export interface BodySink {
  /** Whether the client must read some of what was written before more can be written. */
  readonly isBlocked: boolean;
  /** Writes one piece from the source. @returns its length; 0 when blocked or when too little is available. */
  pump(): number;
  /**
   * Writes what is left and ends the reply; `onFlushed` is called when the last byte has left.
   * Call it once, when the source is complete and `pump` returned 0 without being blocked.
   */
  end(onFlushed: () => void): void;
  /**
   * Cuts the connection, so that no client takes half a stream for a whole one. Does nothing
   * when the connection is cut already.
   */
  reset(): void;
}

export interface Listener {
  readonly port: number;
  /** Memory that the bodies of requests take, those that come and those that are being answered. */
  readonly bodyBytesInFlight: number;
  /** Counts the open connections. Rejects if it can't be told. */
  connections(): Promise<number>;
  /** Refuses new connections; open ones may finish their requests. */
  stopAccepting(): void;
  /** Closes every connection that is still open. */
  close(): Promise<void>;
}

/** A listener with TLS. */
export interface TlsListener extends Listener {
  /**
   * Shows another certificate to new connections; those that are open go on. Rejects if it can't, and
   * shows the one that it had.
   */
  renew(next: TlsMaterial): Promise<void>;
}

/** What a listener takes from its clients at once. */
export interface HttpLimits {
  /** Longer bodies are discarded, and their requests handed over as `tooLarge`. */
  readonly bodyBytes: number;
  /** Bytes of all bodies that have come or are on their way. More are discarded and answered 503. */
  readonly bodyBytesInFlight: number;
  /** A body that takes longer from its first piece to its last is answered 408. */
  readonly bodyMs: number;
  /** The connection of a reply that is no stream is reset if its client takes longer than this for all of it. */
  readonly replyMs: number;
  /** Open connections. More are closed. */
  readonly connections: number;
}

/** Who may open a channel, which is a WebSocket. */
export interface ChannelAccess {
  /** A client of which nothing comes for so long, no answer to a ping either, is cut off. At least 8 s. */
  readonly idleMs: number;
  /** Looks at a request for a channel. Undefined: there is none, and the request is answered or will be. */
  accept(request: HttpRequest, reply: HttpReply): AcceptedChannel | undefined;
}

export interface TransportOptions {
  readonly host: string;
  readonly port: number;
  readonly limits: HttpLimits;
  /** Called for each connection that is refused because of `limits.connections`. */
  onRefused(): void;
  /**
   * Looks at the head of a request, before its body is read: `body` is still "". False: the request is
   * answered, or will be. Then it is not handed over, nothing of its body is kept, and its client gets the
   * answer while it still sends; one that sends on and on is cut off after some seconds.
   */
  admit?(request: HttpRequest, reply: WholeReply): boolean;
  /**
   * Whether a request is handed over at its head, with a body that comes piece by piece. An answer before the end of
   * such a body is sent at once, and the rest of the body is discarded, as `admit` says.
   */
  streams?(request: HttpRequest): boolean;
  handle(request: HttpRequest, reply: HttpReply): void;
  /** Undefined: requests for channels are handled like others. */
  readonly channels?: ChannelAccess;
}

export interface Transport {
  readonly name: "uws" | "node";
  /** The software, as `uWebSockets.js 20.57.0 (@btc-vision/uwebsockets.js)` or `node:http`. */
  readonly software: string;
  /** Rejects with an error that has a code: EADDRINUSE, EACCES, EADDRNOTAVAIL, … */
  listen(options: TransportOptions): Promise<Listener>;
  /** As listen, with TLS 1.2 or newer. Rejects too if the certificate can't be used. */
  listenTls(options: TransportOptions, tls: TlsMaterial): Promise<TlsListener>;
}

/** How long a client may go on sending the body of a request that is refused at its head. */
export const DISCARD_MS = 5_000;

/**
 * How many times `bodyBytes` are read of a body that is too long. A client gets its answer
 * only once its body is read; beyond this its connection is closed instead.
 */
export const DISCARD_FACTOR = 64;
