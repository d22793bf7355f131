import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type {
  HttpResponse,
  TemplatedApp,
  HttpRequest as UwsRequest,
  us_listen_socket,
} from "@btc-vision/uwebsockets.js";
import { BodyReader, type BodyRoom } from "../../protocol/http/body-reader.js";
import { PLAIN_TEXT } from "../../protocol/http/headers.js";
import { refuseConnection } from "../../protocol/http/refusal.js";
import { createRequestIds } from "../../protocol/http/request-id.js";
import {
  DISCARD_MS,
  type TlsConnection,
  type TlsListener,
  type TlsMaterial,
  type Transport,
  type TransportOptions,
} from "../../protocol/http/transport.js";
import type { UwsBuild, UwsModule } from "./uws-builds.js";
import { addChannels } from "./uws-channels.js";
import { countConnections, watchConnections } from "./uws-connections.js";
import { UwsIncoming } from "./uws-incoming.js";
import { createReplyContext, type ReplyContext, UwsReply } from "./uws-reply.js";
import { ReceivedRequest } from "./uws-request.js";

/** Without it a second daemon on the port would silently get half of the traffic. */
const LIBUS_LISTEN_EXCLUSIVE_PORT = 1;

/** uWebSockets.js needs a moment between its close and the end of the process. */
const CLOSE_PAUSE_MS = 200;

/** The module tells nothing of a client's certificate, and asks for none. */
const WITH_TLS: TlsConnection = { certificate: undefined, isLast: false };

const NOTHING = new Uint8Array(0);

/** What all requests of a listener share. */
interface Shared {
  readonly context: ReplyContext;
  readonly room: BodyRoom;
  readonly requestIds: (given: string) => string;
}

/** The transport on a build of uWebSockets.js. */
export function createUwsTransport({ module, source, version }: UwsBuild): Transport {
  return {
    name: "uws",
    software: `uWebSockets.js ${version} (${source})`,
    listen: (options) => listen(module, options),
    listenTls: (options, tls) => listen(module, options, tls),
  };
}

/** As Transport.listen says; with `tls` as listenTls does. */
async function listen(uWS: UwsModule, options: TransportOptions, tls?: TlsMaterial): Promise<TlsListener> {
  const room = { limits: options.limits, bytesInFlight: 0 };
  const shared: Shared = {
    context: createReplyContext(options.limits.replyMs, tls && WITH_TLS),
    room,
    requestIds: createRequestIds(),
  };
  const { host, limits, onRefused } = options;
  let app = openApp(uWS, options, shared, tls);
  /** With those that have connections only: a certificate belongs to its app for good. */
  const apps = [app];
  /** Undefined while nothing is accepted. */
  let socket: us_listen_socket | undefined;
  const listenOn = async (port: number): Promise<number> => {
    const opened = await new Promise<us_listen_socket | false>((resolve) => {
      app.listen(host, port, LIBUS_LISTEN_EXCLUSIVE_PORT, resolve);
    });
    if (!opened) throw await listenError(host, port);
    socket = opened;
    return uWS.us_socket_local_port(opened);
  };
  const stopListening = () => {
    if (socket) uWS.us_listen_socket_close(socket);
    socket = undefined;
  };
  const port = await listenOn(options.port === 0 ? await findFreePort(host) : options.port);
  const watch = watchConnections({
    host,
    port,
    limit: limits.connections,
    listen: async () => void (await listenOn(port)),
    stopListening,
    refuse: (connection) => {
      onRefused();
      // Without a handshake there are no words for a client of TLS.
      if (tls) connection.destroy();
      else refuseConnection(connection, limits.connections);
    },
  });
  return {
    port,
    get bodyBytesInFlight() {
      return room.bytesInFlight;
    },
    connections: () => countConnections(port, 0),
    renew: async (next) => {
      const opened = openApp(uWS, options, shared, next);
      // Connections that wait to be accepted would be reset: there are none right after the loop has looked.
      await new Promise((resolve) => setImmediate(resolve));
      app = opened;
      apps.push(app);
      await watch.restart();
    },
    stopAccepting: watch.stop,
    close: async () => {
      watch.stop();
      for (const each of apps) each.close();
      await sleep(CLOSE_PAUSE_MS);
    },
  };
}

/** An app that hands requests over. Throws if its certificate can't be used. */
function openApp(
  uWS: UwsModule,
  options: TransportOptions,
  shared: Shared,
  tls: TlsMaterial | undefined,
): TemplatedApp {
  // TLS 1.2 is the oldest that the module takes.
  const app = tls ? uWS.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile }) : uWS.App();
  // Nearly all requests are POST. A route for them saves asking each for its method: every call
  // into the module costs.
  app.post("/*", (response, request) => receive(response, request, "POST", options, shared));
  app.any("/*", (response, request) =>
    receive(response, request, request.getMethod().toUpperCase(), options, shared),
  );
  addChannels(app, options, shared.context, shared.requestIds);
  return app;
}

/** uWebSockets.js does not say why it can't listen. node:net does, when it tries the same. */
function listenError(host: string, port: number): Promise<Error> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", resolve);
    probe.listen({ host, port, exclusive: true }, () =>
      probe.close(() => resolve(new Error(`uWebSockets.js can't listen on ${host}:${port}`))),
    );
  });
}

/**
 * A port that is free now. For port 0 the module sets no SO_REUSEADDR, and then nobody could listen
 * on the port again while a connection to it is open (uws-connections.ts).
 */
async function findFreePort(host: string): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen({ host, port: 0, exclusive: true }, resolve);
  });
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Gathers the body of a request, and hands the request over once it is complete or too long. */
function receive(
  response: HttpResponse,
  request: UwsRequest,
  method: string,
  options: TransportOptions,
  shared: Shared,
): void {
  // Both before anything asynchronous: `request` is valid only during this call, and the reply
  // must learn of a disconnect.
  const received = new ReceivedRequest(request, method);
  const requestId = shared.requestIds(received.header("x-request-id"));
  const reply = new UwsReply(response, method === "HEAD", shared.context, requestId);
  reply.isLast = received.isLast;
  if (received.problem !== undefined) {
    reply.closeAfter = true;
    return reply.send(400, PLAIN_TEXT, `${received.problem}\n`);
  }
  if (options.admit && !isAdmitted(response, received, reply, options.admit)) return;
  if (options.streams?.(received)) {
    received.incoming = new UwsIncoming(response, reply, received);
    return options.handle(received, reply);
  }
  const reader = new BodyReader(shared.room, reply, (body, tooLarge) => {
    received.body = body;
    received.tooLarge = tooLarge;
    options.handle(received, reply);
  });
  reply.onDone = reader;
  // The module never tells of the end of such a body if the request's head came in several segments.
  if (received.isWithoutBody) return reader.add(NOTHING, true);
  // A chunk is valid only during this callback.
  response.onData((chunk, isLast) => reader.add(new Uint8Array(chunk), isLast));
}

/**
 * Asks `admit`. The module discards the body of a request that is refused, and ends a connection on which
 * nothing more is answered. But where the client wants its connection closed, the module does that with the
 * answer: one that still sends would be reset, and might never see it. So there the answer waits for the body.
 */
function isAdmitted(
  response: HttpResponse,
  received: ReceivedRequest,
  reply: UwsReply,
  admit: NonNullable<TransportOptions["admit"]>,
): boolean {
  if (!received.isLast || received.isWithoutBody) return admit(received, reply);
  /** The answer, once there is one. */
  let answer: (() => void) | undefined;
  let isRead = false;
  reply.later = (write) => {
    answer = write;
    if (isRead) write();
  };
  if (admit(received, reply)) {
    reply.later = undefined;
    return true;
  }
  const onRead = () => {
    if (isRead) return;
    isRead = true;
    answer?.();
  };
  const deadline = setTimeout(onRead, DISCARD_MS);
  reply.onDisconnect(() => clearTimeout(deadline));
  response.onData((_piece, isLast) => {
    if (!isLast) return;
    clearTimeout(deadline);
    onRead();
  });
  return false;
}
