import { connect, createServer, type Server, type Socket } from "node:net";

/** A way to a daemon that breaks where a test wants it to. */
export interface CuttingProxy {
  readonly url: string;
  /** Resets the next connection that has carried so many bytes of a reply. Undefined: none. */
  cutAfter: number | undefined;
  /** How often it has cut a connection. */
  readonly cuts: number;
  /** Bytes of all replies so far. */
  readonly bytes: number;
  close(): Promise<void>;
}

/** Passes connections on to 127.0.0.1 at this port. */
export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  let cuts = 0;
  let bytes = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect({ host: "127.0.0.1", port });
    let replied = 0;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.destroy());
    // One that was ended in order may still owe the client the last of its reply.
    upstream.on("close", (isBroken) => (isBroken ? client.destroy() : client.end()));
    client.pipe(upstream);
    upstream.on("data", (piece: Buffer) => {
      replied += piece.length;
      bytes += piece.length;
      if (proxy.cutAfter !== undefined && replied >= proxy.cutAfter) {
        proxy.cutAfter = undefined;
        cuts++;
        client.resetAndDestroy();
        return;
      }
      if (!client.write(piece)) {
        upstream.pause();
        client.once("drain", () => upstream.resume());
      }
    });
    upstream.on("end", () => client.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const proxy: CuttingProxy = {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`,
    cutAfter: undefined,
    get cuts() {
      return cuts;
    },
    get bytes() {
      return bytes;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
