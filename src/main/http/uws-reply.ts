import type { HttpResponse } from "@btc-vision/uwebsockets.js";
import { createOnePerTurn } from "../../protocol/http/one-per-turn.js";
import type {
  BodySink,
  BodySource,
  ClosableReply,
  Headers,
  ReplyBody,
  TlsConnection,
} from "../../protocol/http/transport.js";
import type { Span } from "../../protocol/tracing/span.js";
import { createUwsSink, type StreamedReply } from "./uws-sink.js";

/**
 * The longest body for a single `end`. uWebSockets.js can lose the body of a reply that does not
 * fit into its cork buffer of 16 KiB (docs/decisions/uws.md). A character takes at most three bytes
 * of UTF-8; the rest of the buffer is for the head. Longer bodies go by tryEnd, which reports how
 * much it took.
 */
const MAX_WHOLE_CHARACTERS = 5 * 1024;

const STATUS_TEXT: Readonly<Record<number, string>> = {
  200: "200 OK",
  204: "204 No Content",
  400: "400 Bad Request",
  401: "401 Unauthorized",
  403: "403 Forbidden",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  408: "408 Request Timeout",
  409: "409 Conflict",
  413: "413 Payload Too Large",
  415: "415 Unsupported Media Type",
  500: "500 Internal Server Error",
  502: "502 Bad Gateway",
  503: "503 Service Unavailable",
  504: "504 Gateway Timeout",
  507: "507 Insufficient Storage",
};

/** What all replies of one listener share. */
export interface ReplyContext {
  /** See HttpLimits. */
  readonly replyMs: number;
  /** See WholeReply. */
  readonly tls: TlsConnection | undefined;
  /** Runs `write` at the end of this turn of the event loop, together with all others. */
  batch(write: () => void): void;
  /** Runs the `write` of a long reply in a turn of its own. */
  inTurn(write: () => void): void;
  /** See createHeaderMemo. */
  headerLines(headers: Headers): string;
}

export function createReplyContext(replyMs: number, tls: TlsConnection | undefined): ReplyContext {
  const batch = createWriteBatch();
  return { replyMs, tls, batch, inTurn: createOnePerTurn(), headerLines: createHeaderMemo() };
}

/**
 * Writes the replies of one turn of the event loop together at its end. Clients that are woken one
 * by one cost more than the replies (bench, rpc: a third less time a call).
 */
function createWriteBatch(): ReplyContext["batch"] {
  let pending: (() => void)[] = [];
  const writeAll = () => {
    const writes = pending;
    pending = [];
    for (const write of writes) write();
  };
  return (write) => {
    if (pending.push(write) === 1) setImmediate(writeAll);
  };
}

/**
 * The lines of headers, each behind the end of the one before it. Our headers have no line breaks. Nearly all replies
 * use one of a few constant objects, so the result is kept for as long as the object lives.
 */
function createHeaderMemo(): ReplyContext["headerLines"] {
  const known = new WeakMap<Headers, string>();
  return (headers) => {
    let lines = known.get(headers);
    if (lines === undefined) {
      lines = headers.map(([name, value]) => `\r\n${name}: ${value}`).join("");
      known.set(headers, lines);
    }
    return lines;
  };
}

/** Create it within the request's handler: once the client disconnects, `response` must not be touched. */
export class UwsReply implements ClosableReply, StreamedReply {
  isDisconnected = false;
  /** The client disconnected, or the reply is complete as far as its caller is concerned. */
  isClosed = false;
  closeAfter = false;
  /** The client wants its connection closed: the module does that without a word, and some clients then use it again. */
  isLast = false;
  span: Span | undefined = undefined;
  /** Released when the request is answered, or its client has gone. */
  onDone: { release(): void } | undefined;
  later: ((write: () => void) => void) | undefined;
  /** The reply is a stream, and no other can be sent. */
  private isStreamed = false;
  private knownPeer = "";
  private disconnectListeners: (() => void)[] | undefined;
  private endListeners: (() => void)[] | undefined;
  /** A whole reply is with the kernel or the module, or the client has gone. */
  private hasEnded = false;

  constructor(
    private readonly response: HttpResponse,
    private readonly withoutBody: boolean,
    private readonly context: ReplyContext,
    readonly requestId: string,
  ) {
    response.onAborted(() => {
      this.isClosed = true;
      this.isDisconnected = true;
      this.onDone?.release();
      for (const listener of this.disconnectListeners ?? []) listener();
      this.end();
    });
  }

  get tls(): TlsConnection | undefined {
    return this.context.tls;
  }

  get peer(): string {
    // The module's response must not be touched once it is answered or aborted.
    if (this.knownPeer === "" && !this.isClosed && !this.isStreamed) {
      this.knownPeer = Buffer.from(this.response.getRemoteAddressAsText()).toString("latin1");
    }
    return this.knownPeer;
  }

  onDisconnect(listener: () => void): void {
    this.disconnectListeners ??= [];
    this.disconnectListeners.push(listener);
  }

  onEnd(listener: () => void): void {
    if (this.hasEnded) return listener();
    this.endListeners ??= [];
    this.endListeners.push(listener);
  }

  private end(): void {
    this.hasEnded = true;
    for (const listener of this.endListeners ?? []) listener();
    this.endListeners = undefined;
  }

  send(status: number, headers: Headers, body: ReplyBody): void {
    if (this.isClosed || this.isStreamed) return;
    this.isClosed = true;
    this.onDone?.release();
    // The bytes may belong to the request, whose memory is not ours after this turn.
    if (body instanceof Uint8Array) return this.write(status, headers, body);
    const { batch, inTurn } = this.context;
    (this.later ?? (typeof body === "string" ? batch : inTurn))(() => {
      if (!this.isDisconnected) this.write(status, headers, body);
    });
  }

  stream(status: number, headers: Headers, source: BodySource, onReady: () => void): BodySink {
    this.onDone?.release();
    this.isStreamed = true;
    if (!this.isClosed) {
      this.response.cork(() => this.writeHead(status, headers));
    }
    return createUwsSink(this.response, this, source, onReady);
  }

  private write(status: number, headers: Headers, body: ReplyBody): void {
    const { response, closeAfter } = this;
    const isWhole = typeof body === "string" || body instanceof Uint8Array;
    response.cork(() => {
      this.writeHead(status, headers);
      if (this.withoutBody) endHead(response, byteLength(body), closeAfter);
      else if (!isWhole) return this.endLarge(body);
      else if (body.length > MAX_WHOLE_CHARACTERS)
        return this.endLarge([typeof body === "string" ? Buffer.from(body) : body]);
      else response.end(body, closeAfter);
      this.end();
    });
  }

  /** Ends a reply of known length, at the pace at which the socket takes it. */
  private endLarge(parts: readonly Uint8Array[]): void {
    const { response } = this;
    const length = byteLength(parts);
    const writeMore = (): boolean => {
      let isDone = false;
      response.cork(() => {
        let isTaken = true;
        while (isTaken && !isDone) {
          [isTaken, isDone] = response.tryEnd(restOf(parts, response.getWriteOffset()), length);
        }
      });
      if (isDone) this.end();
      return isDone;
    };
    if (writeMore()) return;
    const deadline = setTimeout(() => response.close(), this.context.replyMs);
    this.onDisconnect(() => clearTimeout(deadline));
    response.onWritable(() => {
      const isDone = writeMore();
      if (isDone) clearTimeout(deadline);
      return isDone;
    });
  }

  private writeHead(status: number, headers: Headers): void {
    // Each call into the module costs. It writes a status of 200 by itself, and all lines as if they were the value
    // of the first header.
    if (status !== 200) this.response.writeStatus(STATUS_TEXT[status] ?? String(status));
    this.response.writeHeader("X-Request-Id", this.requestId + this.context.headerLines(headers));
    if (this.isLast) this.response.writeHeader("Connection", "close");
  }
}

/**
 * Ends a reply to a HEAD request. With a length as its argument `endWithoutBody` waits for the body
 * that never comes, and the module closes the connection at the next request.
 */
function endHead(response: HttpResponse, length: number, closeAfter: boolean): void {
  if (closeAfter) return void response.end("", true);
  response.writeHeader("Content-Length", String(length));
  response.endWithoutBody();
}

function byteLength(body: ReplyBody): number {
  if (typeof body === "string" || body instanceof Uint8Array) return Buffer.byteLength(body);
  return body.reduce((sum, part) => sum + part.length, 0);
}

/** What is left of the part in which the byte at `offset` is. */
function restOf(parts: readonly Uint8Array[], offset: number): Uint8Array {
  let start = 0;
  for (const part of parts) {
    if (offset < start + part.length) return part.subarray(offset - start);
    start += part.length;
  }
  return new Uint8Array(0);
}
