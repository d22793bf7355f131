import { createServer, type Server, type Socket } from "node:net";

/** Answers a connection that is one too many with 503, and closes it. */
export function refuseConnection(socket: Socket, limit: number): void {
  const text = `limits.connections (${limit}) are open, try again\n`;
  const head = [
    "HTTP/1.1 503 Service Unavailable",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${text.length}`,
    "Retry-After: 1",
    "Connection: close",
  ];
  socket.on("error", () => {});
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
  socket.destroySoon();
}

/** Refuses all connections to an address. Rejects if it can't listen there. */
export function refuseAll(
  { host, port }: { readonly host: string; readonly port: number },
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer(onConnection);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
