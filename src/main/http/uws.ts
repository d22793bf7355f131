import uWS, {
  type HttpResponse,
  type RecognizedString,
  type HttpRequest as UwsRequest,
  type us_listen_socket,
} from "uWebSockets.js";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type BodySink,
  type BodySource,
  DISCARD_FACTOR,
  type Headers,
  type HttpReply,
  type HttpRequest,
  type Transport,
  type TransportOptions,
} from "./transport.js";

/** Without it a second daemon on the port would silently get half of the traffic. */
const LIBUS_LISTEN_EXCLUSIVE_PORT = 1;

/**
 * uWebSockets.js cuts off a reader that takes nothing for 10 s. One byte written
 * every 5 s re-arms its timer and waits in its buffer.
 */
const DRIP_INTERVAL_MS = 5_000;
/** Bytes held back at the end of a stream to drip from: enough for 20 minutes. */
const DRIP_RESERVE_BYTES = 256;

/**
 * Of what does not fit into its cork buffer of 16 KiB, uWebSockets.js loses the body when
 * the socket can't take the head that waits in the buffer (docs/decisions/uws.md). So
 * pieces of a stream fit with their chunk's head, and larger replies go by tryEnd, which
 * tells how much was taken.
 */
const PIECE_BYTES = 16 * 1024 - 256;

/** A character takes three bytes of UTF-8 at most; the rest of the buffer is for the head. */
const MAX_WHOLE_CHARACTERS = 5 * 1024;

/** uWebSockets.js needs a moment between its close and the end of the process. */
const CLOSE_PAUSE_MS = 200;

const STATUS_TEXT: Readonly<Record<number, string>> = {
  200: "200 OK",
  204: "204 No Content",
  400: "400 Bad Request",
  403: "403 Forbidden",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  409: "409 Conflict",
  413: "413 Payload Too Large",
  415: "415 Unsupported Media Type",
  500: "500 Internal Server Error",
  502: "502 Bad Gateway",
  503: "503 Service Unavailable",
  504: "504 Gateway Timeout",
  507: "507 Insufficient Storage",
};

/** What the native module has and its type declarations lack. */
interface App {
  post(pattern: RecognizedString, handler: (response: HttpResponse, request: UwsRequest) => void): unknown;
  any(pattern: RecognizedString, handler: (response: HttpResponse, request: UwsRequest) => void): unknown;
  listen(
    host: string,
    port: number,
    options: number,
    callback: (socket: us_listen_socket | false) => void,
  ): unknown;
  close(): void;
}

/** Whether a native build is loaded; the package's own fallback in JavaScript can't stream. */
export function isNative(): boolean {
  return "LIBUS_LISTEN_EXCLUSIVE_PORT" in uWS;
}

/** uWebSockets.js does not say why it can't listen; node:net does, when it tries the same. */
function listenError(host: string, port: number): Promise<Error> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", resolve);
    probe.listen({ host, port, exclusive: true }, () =>
      probe.close(() => resolve(new Error(`uWebSockets.js can't listen on ${host}:${port}`))),
    );
  });
}

export const uwsTransport: Transport = {
  name: "uws",
  async listen(options) {
    const app = uWS.App() as unknown as App;
    const later = createReplyBatch();
    // What nearly all requests are needn't be asked for: each call into the module costs.
    app.post("/*", (response, request) => receive(response, request, "POST", options, later));
    app.any("/*", (response, request) =>
      receive(response, request, request.getMethod().toUpperCase(), options, later),
    );
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      app.listen(options.host, options.port, LIBUS_LISTEN_EXCLUSIVE_PORT, resolve);
    });
    if (!socket) throw await listenError(options.host, options.port);
    let accepting = true;
    const stopAccepting = () => {
      if (accepting) uWS.us_listen_socket_close(socket);
      accepting = false;
    };
    return {
      port: uWS.us_socket_local_port(socket),
      stopAccepting,
      close: async () => {
        stopAccepting();
        app.close();
        await sleep(CLOSE_PAUSE_MS);
      },
    };
  },
};

type Later = (write: () => void) => void;

/**
 * The replies of one turn of the event loop are written together at its end: clients that
 * are woken one by one cost more than the replies (bench, rpc: a third less time a call).
 */
function createReplyBatch(): Later {
  let waiting: (() => void)[] = [];
  const writeAll = () => {
    const writes = waiting;
    waiting = [];
    for (const write of writes) write();
  };
  return (write) => {
    if (waiting.push(write) === 1) setImmediate(writeAll);
  };
}

function receive(
  response: HttpResponse,
  request: UwsRequest,
  method: string,
  options: TransportOptions,
  later: Later,
): void {
  // Both before anything can be asynchronous: the request dies with this call, and once the
  // client has gone `response` must not be touched.
  const received = new ReceivedRequest(request, method);
  const state = new ReplyState(response, method === "HEAD", later);
  let chunks: Buffer[] | undefined;
  let size = 0;
  let handled = false;
  const handle = (body: string) => {
    handled = true;
    received.body = body;
    received.tooLarge = size > options.bodyLimitBytes;
    options.handle(received, state);
  };
  response.onData((chunk, isLast) => {
    if (handled) return;
    size += chunk.byteLength;
    if (size > options.bodyLimitBytes) {
      chunks = undefined;
      if (size > options.bodyLimitBytes * DISCARD_FACTOR) {
        state.closeAfter = true;
        handle("");
      } else if (isLast) handle("");
      return;
    }
    // The chunk dies with this callback: what must wait for more is copied.
    if (!isLast) {
      chunks ??= [];
      chunks.push(Buffer.from(new Uint8Array(chunk)));
    } else handle(utf8.decode(chunks ? Buffer.concat([...chunks, Buffer.from(chunk)]) : chunk));
  });
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** What uWebSockets.js's request, which dies with the handler, is asked for while it lives. */
class ReceivedRequest implements HttpRequest {
  readonly path: string;
  readonly query: string;
  body = "";
  tooLarge = false;
  private readonly contentType: string;
  private readonly acceptEncoding: string;

  constructor(
    request: UwsRequest,
    readonly method: string,
  ) {
    this.path = request.getUrl();
    this.query = request.getQuery() ?? "";
    this.contentType = request.getHeader("content-type");
    this.acceptEncoding = request.getHeader("accept-encoding");
  }

  header(name: string): string {
    if (name === "content-type") return this.contentType;
    return name === "accept-encoding" ? this.acceptEncoding : "";
  }
}

class ReplyState implements HttpReply {
  gone = false;
  closeAfter = false;
  private aborted = false;
  private goneListeners: (() => void)[] | undefined;

  constructor(
    private readonly response: HttpResponse,
    private readonly withoutBody: boolean,
    private readonly later: Later,
  ) {
    response.onAborted(() => {
      this.gone = true;
      this.aborted = true;
      for (const listener of this.goneListeners ?? []) listener();
    });
  }

  onGone(listener: () => void): void {
    this.goneListeners ??= [];
    this.goneListeners.push(listener);
  }

  send(status: number, headers: Headers, body: string | Uint8Array): void {
    if (this.gone) return;
    this.gone = true;
    // Bytes may be the request's own, which die with it.
    if (typeof body !== "string") return this.write(status, headers, body);
    this.later(() => {
      if (!this.aborted) this.write(status, headers, body);
    });
  }

  private write(status: number, headers: Headers, body: string | Uint8Array): void {
    const { response, closeAfter } = this;
    response.cork(() => {
      writeHead(response, status, headers);
      if (this.withoutBody) response.endWithoutBody(Buffer.byteLength(body), closeAfter);
      else if (body.length <= MAX_WHOLE_CHARACTERS) response.end(body, closeAfter);
      else endLarge(response, typeof body === "string" ? Buffer.from(body) : body);
    });
  }

  stream(status: number, headers: Headers, source: BodySource, onReady: () => void): BodySink {
    if (!this.gone) {
      this.response.cork(() => writeHead(this.response, status, headers));
    }
    return createSink(this.response, this, source, onReady);
  }
}

function writeHead(response: HttpResponse, status: number, headers: Headers): void {
  response.writeStatus(STATUS_TEXT[status] ?? String(status));
  const [name, rest] = oneHeader(headers);
  if (name !== "") response.writeHeader(name, rest);
}

const oneHeaders = new WeakMap<Headers, readonly [name: string, rest: string]>();

/**
 * Headers as the module writes them fastest: as if all lines were the value of the first.
 * Ours have no line breaks; most replies' are the same few objects.
 */
function oneHeader(headers: Headers): readonly [name: string, rest: string] {
  const known = oneHeaders.get(headers);
  if (known) return known;
  const lines = headers.map(([name, value]) => `${name}: ${value}`).join("\r\n");
  const made = [headers[0]?.[0] ?? "", lines.slice(lines.indexOf(": ") + 2)] as const;
  oneHeaders.set(headers, made);
  return made;
}

/** Ends a reply of known length as the socket takes it. */
function endLarge(response: HttpResponse, body: Uint8Array): void {
  const more = (): boolean => {
    let taken = false;
    response.cork(() => {
      const rest = body.subarray(response.getWriteOffset());
      [taken] = response.tryEnd(rest, body.length);
    });
    return taken;
  };
  if (!more()) response.onWritable(more);
}

/**
 * A body that keeps some bytes back until the end, so that there is always a real byte to
 * write while a reader takes nothing, and to find out with whether all before it has left:
 * uWebSockets.js calls `onWritable` at the first room in the socket, and only a write tells
 * if its buffer is empty.
 */
function createSink(
  response: HttpResponse,
  state: ReplyState,
  source: BodySource,
  onReady: () => void,
): BodySink {
  let isBlocked = false;
  let conclude: (() => void) | undefined;
  let drip: NodeJS.Timeout | undefined;

  const stopDrip = () => {
    clearInterval(drip);
    drip = undefined;
  };
  /** Writes the next bytes, `limit` at most. `isBlocked` tells afterwards whether what was before them has left. */
  const push = (limit: number): number => {
    const piece = source.peek(limit);
    response.cork(() => {
      isBlocked = !response.write(piece);
    });
    source.take(piece.length);
    // The system may have taken all in the meantime: then onWritable does not come.
    if (isBlocked) drip ??= setInterval(probe, DRIP_INTERVAL_MS);
    else stopDrip();
    return piece.length;
  };
  /** A single byte, unless it is the last one. */
  const pushByte = (): void => {
    if (source.available > 1) push(1);
    else isBlocked = false;
  };
  const pump = (): number => {
    const bytes = Math.min(PIECE_BYTES, source.available - DRIP_RESERVE_BYTES);
    return isBlocked || state.gone || bytes <= 0 ? 0 : push(bytes);
  };
  /** Goes on if everything has left; otherwise the byte written has re-armed the timer. */
  const probe = (): void => {
    if (state.gone) return;
    pushByte();
    if (!isBlocked) (conclude ?? onReady)();
  };
  const writeRest = (): void => {
    state.gone = true;
    stopDrip();
    const rest: Uint8Array[] = [];
    while (source.available > 0) {
      const piece = Buffer.from(source.peek(source.available));
      source.take(piece.length);
      rest.push(piece);
    }
    response.cork(() => response.end(Buffer.concat(rest)));
  };

  response.onWritable(() => {
    if (isBlocked) probe();
    return true;
  });
  state.onGone(stopDrip);

  return {
    get isBlocked() {
      return isBlocked;
    },
    pump,
    end: (onFlushed) => {
      conclude = () => {
        writeRest();
        onFlushed();
      };
      // A piece that was taken may still wait: the byte behind it tells.
      if (!state.gone) probe();
    },
    reset: () => {
      if (state.gone) return;
      stopDrip();
      response.close();
    },
  };
}
