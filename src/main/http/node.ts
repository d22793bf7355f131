import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { askHalfClosed } from "./half-close.js";
import { PLAIN_TEXT } from "./headers.js";
import { parseRequestTarget } from "./request-target.js";
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

/** The transport on node:http, for machines for which uWebSockets.js has no build. */
export const nodeTransport: Transport = {
  name: "node",
  async listen(options) {
    const server = createServer({ keepAliveTimeout: 10_000 }, (incoming, outgoing) =>
      receive(incoming, outgoing, options),
    );
    // A client that has half-closed its connection gets its reply all the same.
    Object.assign(server, { httpAllowHalfOpen: true });
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

function receive(incoming: IncomingMessage, outgoing: ServerResponse, options: TransportOptions): void {
  if (incoming.headersDistinct.host && incoming.headersDistinct.host.length > 1) {
    outgoing.shouldKeepAlive = false;
    return replyOf(outgoing).send(400, PLAIN_TEXT, "bad request: more than one Host\n");
  }
  askHalfClosed(incoming, outgoing);
  /** The body so far; empty once it is too long. */
  const chunks: Buffer[] = [];
  /** Bytes received so far, discarded ones too. */
  let size = 0;
  /** The request was handed over, which happens once. */
  let handled = false;
  const handle = () => {
    if (handled) return;
    handled = true;
    const tooLarge = size > options.bodyLimitBytes;
    options.handle(
      requestOf(incoming, tooLarge ? "" : Buffer.concat(chunks).toString("utf8"), tooLarge),
      replyOf(outgoing),
    );
  };
  incoming.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= options.bodyLimitBytes) chunks.push(chunk);
    else if (size > options.bodyLimitBytes * DISCARD_FACTOR) {
      outgoing.shouldKeepAlive = false;
      handle();
      incoming.destroy();
    } else chunks.length = 0;
  });
  incoming.on("end", handle);
  incoming.on("error", () => {});
}

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

function replyOf(outgoing: ServerResponse): HttpReply {
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
    outgoing.writeHead(status, fields.flat());
  };
  return {
    get isDisconnected() {
      return isDisconnected;
    },
    onDisconnect: (listener) => {
      disconnectListeners.push(listener);
    },
    send: (status, headers, body) => {
      if (isDisconnected || outgoing.headersSent) return;
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
