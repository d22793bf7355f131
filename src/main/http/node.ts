import { createServer } from "node:http";
import type { ListenOptions, Socket } from "node:net";
import { createNodeRoom, HEAD_MS, receive } from "../../protocol/http/node-exchange.js";
import { refuseConnection } from "../../protocol/http/refusal.js";
import type { Listener, Transport, TransportOptions } from "../../protocol/http/transport.js";

/** The transport on node:http, for machines for which uWebSockets.js has no build. */
export const nodeTransport: Transport = {
  name: "node",
  software: "node:http",
  listen: ({ host, port, ...options }) => serveNode(options, { host, port, exclusive: true }),
};

/**
 * Serves with node:http at an address. @param unnamedPeer the peer of clients that have no address.
 * Rejects as a Transport does.
 */
export async function serveNode(
  options: Omit<TransportOptions, "host" | "port">,
  address: ListenOptions,
  unnamedPeer?: string,
): Promise<Listener> {
  /** Connections that were refused: what comes on them is not looked at. */
  const refused = new WeakSet<Socket>();
  const room = createNodeRoom(options.limits, unnamedPeer);
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
      server.closeAllConnections();
    },
  };
}
