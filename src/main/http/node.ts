import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { BodyReader, type BodyRoom } from "./body-reader.js";
import { askHalfClosed } from "./half-close.js";
import { PLAIN_TEXT } from "./headers.js";
import { refuseConnection } from "./refusal.js";
import { createRequestIds } from "./request-id.js";
import { parseRequestTarget } from "./request-target.js";
import type {
  BodySink,
  BodySource,
  ClosableReply,
  Headers,
  HttpRequest,
  Transport,
  TransportOptions,
} from "./transport.js";

/** How long the head of a request may take. */
const HEAD_MS = 60_000;

/** The transport on node:http, for machines for which uWebSockets.js has no build. */
export const nodeTransport: Transport = {
  name: "node",
  async listen(options) {
    /** Connections that were refused: what comes on them is not looked at. */
    const refused = new WeakSet<Socket>();
    const room = { limits: options.limits, bytesInFlight: 0, requestIds: createRequestIds() };
    // Bodies have a deadline of ours: that of node:http must not come before it.
    const requestTimeout = options.limits.bodyMs + HEAD_MS;
    const server = createServer({ keepAliveTimeout: 10_000, requestTimeout }, (incoming, outgoing) => {
      if (!refused.has(incoming.socket)) receive(incoming, outgoing, options, room);
    });
    // A client that has half-closed its connection gets its reply all the same.
    Object.assign(server, { httpAllowHalfOpen: true });
    const { connections } = options.limits;
    /** Open connections, the refused ones too until they are closed. */
    let open = 0;
    server.on("connection", (socket) => {
      open++;
      socket.once("close", () => open--);
      if (open <= connections) return;
      refused.add(socket);
      options.onRefused();
      refuseConnection(socket, connections);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: options.host, port: options.port, exclusive: true }, resolve);
    });
    const address = server.address();
    return {
      port: typeof address === "object" && address !== null ? address.port : options.port,
      stopAccepting: () => {
        server.close();
        server.closeIdleConnections();
      },
      close: async () => {
        server.close();
        server.closeAllConnections();
      },
    };
  },
};

function receive(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  options: TransportOptions,
  room: BodyRoom & { readonly requestIds: (given: string) => string },
): void {
  const given = incoming.headers["x-request-id"];
  const reply = replyOf(outgoing, room.requestIds(typeof given === "string" ? given : ""));
  if (incoming.headersDistinct.host && incoming.headersDistinct.host.length > 1) {
    reply.closeAfter = true;
    return reply.send(400, PLAIN_TEXT, "bad request: more than one Host\n");
  }
  askHalfClosed(incoming, outgoing);
  const reader = new BodyReader(room, reply, (body, tooLarge) =>
    options.handle(requestOf(incoming, body, tooLarge), reply),
  );
  outgoing.on("close", () => reader.release());
  /** What of a body of stated length is still to come; NaN for one without. */
  let missing = Number(incoming.headers["content-length"]);
  incoming.on("data", (chunk: Buffer) => {
    missing -= chunk.length;
    reader.add(chunk, missing === 0);
  });
  incoming.on("end", () => reader.add(NO_BYTES, true));
  incoming.on("error", () => {});
}

const NO_BYTES = Buffer.alloc(0);

function requestOf(incoming: IncomingMessage, body: string, tooLarge: boolean): HttpRequest {
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
    body,
    tooLarge,
  };
}

function replyOf(outgoing: ServerResponse, requestId: string): ClosableReply {
  const peer = outgoing.req.socket.remoteAddress ?? "";
  const disconnectListeners: (() => void)[] = [];
  let isDisconnected = false;
  outgoing.on("close", () => {
    if (outgoing.writableFinished || isDisconnected) return;
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
    closeAfter: false,
    requestId,
    peer,
    get isDisconnected() {
      return isDisconnected;
    },
    onDisconnect: (listener) => {
      disconnectListeners.push(listener);
    },
    send(status, headers, body) {
      if (isDisconnected || outgoing.headersSent) return;
      if (this.closeAfter) outgoing.shouldKeepAlive = false;
      writeHead(status, headers, Buffer.byteLength(body));
      outgoing.end(body);
    },
    stream: (status, headers, source, onReady) => {
      if (!isDisconnected) writeHead(status, headers, undefined);
      return sinkOf(outgoing, source, onReady);
    },
  };
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
      const piece = Buffer.from(source.peek(PIECE_BYTES));
      if (piece.length === 0) return 0;
      source.take(piece.length);
      isBlocked = !outgoing.write(piece);
      return piece.length;
    },
    end: (onFlushed) => {
      outgoing.once("finish", onFlushed);
      outgoing.end();
    },
    reset: () => {
      outgoing.socket?.resetAndDestroy();
    },
  };
}
