import { createServer } from "node:http";
import type { Socket } from "node:net";
import { createNodeRoom, HEAD_MS, receive } from "../../protocol/http/node-exchange.js";
import { refuseConnection } from "../../protocol/http/refusal.js";
import type { Transport } from "../../protocol/http/transport.js";

/** The transport on node:http, for machines for which uWebSockets.js has no build. */
export const nodeTransport: Transport = {
  name: "node",
  software: "node:http",
  async listen(options) {
    /** Connections that were refused: what comes on them is not looked at. */
    const refused = new WeakSet<Socket>();
    const room = createNodeRoom(options.limits);
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
  },
};
