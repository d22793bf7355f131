import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer, type Socket } from "node:net";
import { createNodeRoom, HEAD_MS, receive } from "../../protocol/http/node-exchange.js";
import { refuseConnection } from "../../protocol/http/refusal.js";
import type { Headers, HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import { codeOf, messageOf } from "../../protocol/storage/caught-error.js";
import { fail } from "../../protocol/storage/failures.js";
import type {
  BulkEnd,
  BulkEvent,
  BulkOrder,
  BulkRequest,
  BulkSettings,
} from "../../protocol/threads/bulk-contract.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { createPace, joinPaces } from "../../protocol/threads/pace.js";
import { type BulkSend, startBulkSend } from "./bulk-send.js";
import { createBulkWatch } from "./bulk-watch.js";
import { ClientWire } from "./client-wire.js";
import { connectionKey } from "./connection-table.js";
import { createResetGuard } from "./reset-guard.js";

/** The headers that main decides by. */
const SENT_ON = ["host", "origin", "sec-fetch-site", "authorization", "traceparent"] as const;
/** After a failure to listen. */
const RETRY_MS = 1_000;
/** After which the kernel asks a client that is silent whether it is there. */
const KEEP_ALIVE_MS = 30_000;

/** Where bulk downloads come in. */
export interface BulkListener {
  /** Does what main has decided. Orders for a client that has gone are answered or forgotten. */
  take(order: BulkOrder): void;
  cancel(id: number): void;
  /** The running sends, by their ids. */
  readonly sends: ReadonlyMap<number, BulkSend>;
  /** Open connections. */
  readonly connections: number;
  /** Cuts every connection, and ends the commands. */
  close(): void;
}

interface BulkListenerOptions {
  readonly settings: BulkSettings;
  readonly children: ChildTable;
  notify(event: BulkEvent): void;
}

/** A request that main has not answered. */
interface Asked {
  readonly wire: ClientWire;
  readonly reply: WholeReply;
}

/**
 * Listens for bulk downloads by node:http, because a socket of Node can be given to a child process.
 * It takes one request of a connection, and asks main what to do with it.
 */
export function openBulkListener({ settings, children, notify }: BulkListenerOptions): BulkListener {
  const { limits } = settings;
  const ofNode = settings.pace && createPace(settings.pace.bytesPerSecond, settings.pace.memory);
  const watch = createBulkWatch(settings.stalledReaderMs);
  const guard = createResetGuard(children);
  const room = createNodeRoom(limits);
  const asked = new Map<number, Asked>();
  const sends = new Map<number, BulkSend>();
  /** The sends that are about to begin, and were not cancelled. */
  const handing = new Set<number>();
  const open = new Set<Socket>();
  /** Those on which no request has come yet, and what cuts each if none does. */
  const fresh = new Map<object, { readonly wire: ClientWire; readonly timer: NodeJS.Timeout }>();
  let lastRequest = settings.firstRequest;
  /** Once true, nothing is accepted. */
  let isClosed = false;

  // It never listens, and so it checks no deadline: we do.
  const http = createHttpServer(onRequest);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    if (open.size > limits.connections) {
      notify({ kind: "refused" });
      return refuseConnection(socket, limits.connections);
    }
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const wire = new ClientWire(socket);
    fresh.set(wire, { wire, timer: setTimeout(() => wire.resetAndDestroy(), HEAD_MS) });
    wire.once("close", () => takeFresh(wire));
    http.emit("connection", wire);
  });
  server.on("listening", () => {
    const address = server.address();
    notify({ kind: "listening", port: typeof address === "object" && address ? address.port : 0 });
  });
  server.on("error", (error) => {
    notify({ kind: "not-listening", code: codeOf(error), message: messageOf(error) });
    setTimeout(listen, RETRY_MS).unref();
  });
  const listen = () => {
    if (!isClosed) server.listen({ host: settings.host, port: settings.port, exclusive: true });
  };
  listen();

  function takeFresh(wire: object): ClientWire | undefined {
    const found = fresh.get(wire);
    fresh.delete(wire);
    clearTimeout(found?.timer);
    return found?.wire;
  }

  function onRequest(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const wire = takeFresh(incoming.socket);
    // A second request on a connection: its reply would come behind a stream.
    if (!wire) return void incoming.socket.destroy();
    outgoing.shouldKeepAlive = false;
    const handle = (request: HttpRequest, reply: WholeReply) => {
      const id = ++lastRequest;
      asked.set(id, { wire, reply });
      reply.onDisconnect(() => {
        if (asked.delete(id)) notify({ kind: "left", request: id });
      });
      notify({ kind: "asked", request: id, asked: requestOf(request, reply) });
    };
    receive(incoming, outgoing, { handle }, room);
  }

  async function hand(order: Extract<BulkOrder, { kind: "hand" }>): Promise<void> {
    const { request, id, command, headers, bytesPerSecond } = order;
    const client = asked.get(request);
    const socket = client?.wire.socket;
    handing.add(id);
    const isGuarded = socket !== undefined && (await guard.guard(socket));
    const refuse = (end: BulkEnd) =>
      notify({ kind: "bulk-ended", id, end, hasBegun: false, written: undefined });
    if (!handing.delete(id)) return refuse({ kind: "gone" });
    const key = socket && connectionKey(socket);
    if (!client || !asked.has(request) || !key) return refuse({ kind: "gone" });
    if (!isGuarded) {
      const { failure } = fail("service.interrupted", "the connection can't be guarded; ask again");
      return refuse({ kind: "failed", failure });
    }
    // First, so that the wire's end is no news.
    asked.delete(request);
    const send = startBulkSend({
      socket: client.wire.takeSocket(),
      key,
      head: headOf(headers, client.reply.requestId),
      command,
      pace: joinPaces([ofNode, bytesPerSecond === undefined ? undefined : createPace(bytesPerSecond)]),
      children,
      guard,
      watch,
      stalledReaderMs: settings.stalledReaderMs,
      onBegun: () => notify({ kind: "begun", id }),
      onProgress: (progress) => notify({ kind: "progress", id, progress }),
      onWritten: (bytes) => notify({ kind: "written", id, bytes }),
      onEnd: (end, written) => {
        sends.delete(id);
        notify({ kind: "bulk-ended", id, end, hasBegun: true, written });
      },
    });
    sends.set(id, send);
  }

  return {
    sends,
    get connections() {
      return open.size;
    },
    take: (order) => {
      switch (order.kind) {
        case "answer": {
          const reply = asked.get(order.request)?.reply;
          asked.delete(order.request);
          return reply?.send(order.status, order.headers, order.body);
        }
        case "hand":
          return void hand(order);
        case "close-bulk":
          isClosed = true;
          server.close();
          for (const { wire } of fresh.values()) wire.destroy();
      }
    },
    cancel: (id) => {
      handing.delete(id);
      sends.get(id)?.cancel();
    },
    close: () => {
      isClosed = true;
      server.close();
      for (const send of sends.values()) send.cancel();
      for (const socket of open) socket.destroy();
      watch.stop();
      guard.stop();
    },
  };
}

function requestOf(request: HttpRequest, { requestId, peer }: WholeReply): BulkRequest {
  const { method, path, query, body, tooLarge } = request;
  const headers = Object.fromEntries(SENT_ON.map((name) => [name, request.header(name)]));
  return { method, path, query, body, tooLarge, headers, requestId, peer };
}

/** The head of a stream that ends with its connection: nobody knows its length. */
function headOf(headers: Headers, requestId: string): string {
  const fields: Headers = [
    ...headers,
    ["Date", new Date().toUTCString()],
    ["X-Request-Id", requestId],
    ["Connection", "close"],
  ];
  return ["HTTP/1.1 200 OK", ...fields.map(([name, value]) => `${name}: ${value}`), "", ""].join("\r\n");
}
