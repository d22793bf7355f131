import { constants } from "node:crypto";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { ListenOptions, Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { createNodeRoom, HEAD_MS, type NodeRoom, receive } from "../../protocol/http/node-exchange.js";
import { refuseConnection } from "../../protocol/http/refusal.js";
import {
  haveSame,
  type Listener,
  type TlsListener,
  type TlsMaterial,
  type Transport,
  type TransportOptions,
} from "../../protocol/http/transport.js";
import { watchClientCertificates } from "./client-certificates.js";
import { addNodeChannels } from "./node-channels.js";

/** The transport on node:http, for machines for which uWebSockets.js has no build. */
export const nodeTransport: Transport = {
  name: "node",
  software: "node:http",
  listen: ({ host, port, ...options }) => serveNode(options, { host, port, exclusive: true }),
  listenTls: ({ host, port, ...options }, tls) => serveNodeTls(options, { host, port, exclusive: true }, tls),
};

type NodeOptions = Omit<TransportOptions, "host" | "port">;

/**
 * Serves with node:http at an address. @param unnamedPeer the peer of clients that have no address.
 * Rejects as a Transport does.
 */
export function serveNode(
  options: NodeOptions,
  address: ListenOptions,
  unnamedPeer?: string,
): Promise<Listener> {
  const { connections } = options.limits;
  const server = createServer(TIMES);
  const room = createNodeRoom(options.limits, unnamedPeer);
  return serve(server, options, address, room, (socket) => refuseConnection(socket, connections));
}

/** How long a handshake may take. */
const HANDSHAKE_MS = 10_000;

/** As serveNode, with TLS. */
async function serveNodeTls(
  options: NodeOptions,
  address: ListenOptions,
  tls: TlsMaterial,
): Promise<TlsListener> {
  const server = createTlsServer({
    ...TIMES,
    ...contextOf(tls),
    handshakeTimeout: HANDSHAKE_MS,
    requestCert: tls.clientCa !== undefined,
    // Who has shown none, or one that is not good, is told so in words.
    rejectUnauthorized: false,
  });
  const certificates = watchClientCertificates(server);
  let current = tls;
  // Without a handshake there are no words for a client of TLS.
  const refuse = (socket: Socket) => void socket.destroy();
  const room = createNodeRoom(options.limits, "", certificates.of);
  const listener = await serve(server, options, address, room, refuse);
  return Object.assign(listener, {
    renew: async (next: TlsMaterial) => {
      server.setSecureContext(contextOf(next));
      if (!haveSame(current, next, ["clientCa", "crl"])) {
        certificates.distrust();
        server.closeIdleConnections();
      }
      current = next;
    },
  });
}

function contextOf({ cert, key, clientCa, crl }: TlsMaterial): SecureContextOptions {
  // A session that is resumed is not checked again, whatever has expired or was revoked since it began.
  const secureOptions = clientCa && constants.SSL_OP_NO_TICKET;
  return { cert, key, ca: clientCa, crl, secureOptions, minVersion: "TLSv1.2" };
}

/** Bodies have deadlines of ours, and some may take hours: node:http is to look at heads only. */
const TIMES = { keepAliveTimeout: 10_000, headersTimeout: HEAD_MS, requestTimeout: 0 } as const;

/** Has a server listen, and hand over its requests. */
async function serve(
  server: Server | TlsServer,
  options: NodeOptions,
  address: ListenOptions,
  room: NodeRoom,
  refuse: (socket: Socket) => void,
): Promise<Listener> {
  /** Connections that were refused: what comes on them is not looked at. */
  const refused = new WeakSet<Socket>();
  server.on("request", (incoming, outgoing) => {
    if (!refused.has(incoming.socket)) receive(incoming, outgoing, options, room);
  });
  // A client that has half-closed its connection gets its reply all the same.
  Object.assign(server, { httpAllowHalfOpen: true });
  const channels = addNodeChannels(server, options, room, (socket) => refused.has(socket));
  /** A connection comes twice if it was served without the upgrade that it asked for. */
  const counted = new WeakSet<Socket>();
  const { connections } = options.limits;
  /** Open connections, the refused ones too until they are closed. */
  let open = 0;
  server.on("connection", (socket: Socket) => {
    if (counted.has(socket)) return;
    counted.add(socket);
    open++;
    socket.once("close", () => open--);
    if (open <= connections) return;
    refused.add(socket);
    options.onRefused();
    refuse(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    get bodyBytesInFlight() {
      return room.bytesInFlight;
    },
    connections: async () => open,
    stopAccepting: () => {
      server.close();
      server.closeIdleConnections();
    },
    close: async () => {
      server.close();
      channels.close();
      server.closeAllConnections();
    },
  };
}
