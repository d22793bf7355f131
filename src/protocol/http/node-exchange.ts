import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { BodyReader, type BodyRoom } from "./body-reader.js";
import { askHalfClosed } from "./half-close.js";
import { PLAIN_TEXT } from "./headers.js";
import { afterBody, discardBody, NodeIncoming } from "./node-incoming.js";
import { createOnePerTurn } from "./one-per-turn.js";
import { createRequestIds } from "./request-id.js";
import { parseRequestTarget } from "./request-target.js";
import type {
  BodySink,
  BodySource,
  ClosableReply,
  Headers,
  HttpLimits,
  HttpRequest,
  IncomingBody,
  TlsConnection,
  TransportOptions,
} from "./transport.js";

/** How long the head of a request may take. */
export const HEAD_MS = 60_000;

/** What all requests of a listener share. */
export interface NodeRoom extends BodyRoom {
  readonly requestIds: (given: string) => string;
  readonly inTurn: (write: () => void) => void;
  /** The peer of clients that have no address. */
  readonly peer: string;
  /** What a connection tells. Undefined: none is encrypted. */
  readonly tlsOf: ((socket: Socket) => TlsConnection | undefined) | undefined;
}

export function createNodeRoom(limits: HttpLimits, peer = "", tlsOf?: NodeRoom["tlsOf"]): NodeRoom {
  const requestIds = createRequestIds();
  return { limits, bytesInFlight: 0, requestIds, inTurn: createOnePerTurn(), peer, tlsOf };
}

/** Takes a request of node:http, and hands it over when its body is complete or too long. */
export function receive(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { admit, streams, handle }: Pick<TransportOptions, "admit" | "streams" | "handle">,
  room: NodeRoom,
): void {
  const given = incoming.headers["x-request-id"];
  const requestId = room.requestIds(typeof given === "string" ? given : "");
  const reply = replyOf(outgoing, requestId, room);
  const problem = headProblem(incoming);
  // With an answer after which it closes node:http closes at once: so that waits for the end of the body.
  const later = (write: () => void) => afterBody(incoming, write);
  if (problem !== undefined) {
    reply.closeAfter = true;
    reply.later = later;
    return reply.send(400, PLAIN_TEXT, `${problem}\n`);
  }
  askHalfClosed(incoming, outgoing);
  incoming.on("error", () => {});
  const request = requestOf(incoming);
  if (admit) {
    const isLast = !outgoing.shouldKeepAlive;
    if (isLast) reply.later = later;
    if (!admit(request, reply)) {
      if (isLast) incoming.resume();
      else discardBody(incoming);
      return;
    }
    reply.later = undefined;
  }
  if (streams?.(request)) {
    request.incoming = new NodeIncoming(incoming, outgoing, reply);
    return handle(request, reply);
  }
  const reader = new BodyReader(room, reply, (body, tooLarge) => {
    request.body = body;
    request.tooLarge = tooLarge;
    handle(request, reply);
  });
  outgoing.on("close", () => reader.release());
  /** What of a body of stated length is still to come; NaN for one without. */
  let missing = Number(incoming.headers["content-length"]);
  incoming.on("data", (chunk: Buffer) => {
    missing -= chunk.length;
    reader.add(chunk, missing === 0);
  });
  incoming.on("end", () => reader.add(NO_BYTES, true));
  if (missing > 0 || incoming.headers["transfer-encoding"] !== undefined) reader.expect();
}

const NO_BYTES = Buffer.alloc(0);

/** Headers that say whom a request asks, or who asks. node:http takes the first of several. */
const ONCE = ["Host", "Authorization"] as const;

/** Why a request must not be served, whatever it asks for. */
export function headProblem({ headersDistinct }: IncomingMessage): string | undefined {
  const repeated = ONCE.find((name) => (headersDistinct[name.toLowerCase()]?.length ?? 0) > 1);
  return repeated && `bad request: more than one ${repeated}`;
}

type NewRequest = HttpRequest & { body: string; tooLarge: boolean; incoming?: IncomingBody };

/** A request whose body is still to come. */
export function requestOf(incoming: IncomingMessage): NewRequest {
  const { path, query, host } = parseRequestTarget(incoming.url ?? "/");
  return {
    method: incoming.method ?? "GET",
    path,
    query,
    header: (name) => {
      if (name === "host" && host !== undefined) return host;
      const value = incoming.headers[name];
      return Array.isArray(value) ? value.join(", ") : (value ?? "");
    },
    body: "",
    tooLarge: false,
  };
}

export function replyOf(outgoing: ServerResponse, requestId: string, room: NodeRoom): ClosableReply {
  const { limits, inTurn } = room;
  const { socket } = outgoing.req;
  const peer = socket.remoteAddress ?? room.peer;
  const disconnectListeners: (() => void)[] = [];
  let isDisconnected = false;
  /** All bytes are with the kernel. "finish" alone doesn't show it: it also comes when the connection is reset. */
  let isFinished = false;
  outgoing.once("finish", () => {
    isFinished = !socket.destroyed;
  });
  outgoing.on("close", () => {
    if (isFinished || isDisconnected) return;
    isDisconnected = true;
    for (const listener of disconnectListeners) listener();
  });
  outgoing.on("error", () => {});
  const writeHead = (status: number, headers: Headers, length: number | undefined) => {
    const fields = headers.map(([name, value]): [string, string] => [name, value]);
    if (length !== undefined) fields.push(["Content-Length", String(length)]);
    fields.push(["X-Request-Id", requestId]);
    outgoing.writeHead(status, fields.flat());
  };
  return {
    closeAfter: room.tlsOf?.(socket)?.isLast ?? false,
    later: undefined,
    requestId,
    peer,
    get tls() {
      return room.tlsOf?.(socket);
    },
    get isDisconnected() {
      return isDisconnected;
    },
    onDisconnect: (listener) => {
      disconnectListeners.push(listener);
    },
    onEnd: (listener) => {
      if (outgoing.closed || isDisconnected) listener();
      else outgoing.once("close", listener);
    },
    send(status, headers, body) {
      if (isDisconnected || outgoing.headersSent) return;
      const { later } = this;
      if (later) {
        this.later = undefined;
        return later(() => this.send(status, headers, body));
      }
      if (this.closeAfter) outgoing.shouldKeepAlive = false;
      const isWhole = typeof body === "string" || body instanceof Uint8Array;
      writeHead(status, headers, isWhole ? Buffer.byteLength(body) : totalLength(body));
      const end = (last: string | Uint8Array) => {
        outgoing.end(last);
        // Nearly always the kernel has taken all of it at once.
        if (outgoing.writableLength > 0) resetAfter(outgoing, limits.replyMs);
      };
      if (isWhole) return end(body);
      inTurn(() => {
        for (const part of body) outgoing.write(part);
        end("");
      });
    },
    stream: (status, headers, source, onReady) => {
      if (!isDisconnected) writeHead(status, headers, undefined);
      return sinkOf(outgoing, source, onReady);
    },
  };
}

function totalLength(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** Resets the connection of a reply whose client has not taken all of it after so long. */
function resetAfter(outgoing: ServerResponse, ms: number): void {
  const deadline = setTimeout(() => reset(outgoing.req.socket), ms);
  outgoing.once("close", () => clearTimeout(deadline));
}

/** A unix socket and TLS know no reset: their client sees that the end of the reply is missing. */
function reset(socket: Socket): void {
  if (socket.remoteAddress === undefined || socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

const PIECE_BYTES = 64 * 1024;

function sinkOf(outgoing: ServerResponse, source: BodySource, onReady: () => void): BodySink {
  let isBlocked = false;
  outgoing.on("drain", () => {
    isBlocked = false;
    onReady();
  });
  return {
    get isBlocked() {
      return isBlocked;
    },
    pump: () => {
      if (isBlocked) return 0;
      // node:http keeps what it can't write at once, but the source's memory is used again: copy it.
      // The filler of a live source is not needed here: "drain" tells when all has left.
      const bytes = Math.min(PIECE_BYTES, source.available - (source.isLive ? 1 : 0));
      if (bytes <= 0) return 0;
      const piece = Buffer.from(source.peek(bytes));
      source.take(piece.length);
      isBlocked = !outgoing.write(piece);
      return piece.length;
    },
    end: (onFlushed) => {
      outgoing.once("finish", () => {
        if (!outgoing.req.socket.destroyed) onFlushed();
      });
      outgoing.end();
    },
    reset: () => {
      if (outgoing.socket) reset(outgoing.socket);
    },
  };
}
