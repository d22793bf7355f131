import { once } from "node:events";
import { type ClientOptions, WebSocket } from "ws";

/** A reply of JSON-RPC 2.0. */
export interface SocketReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** Calls methods on a WebSocket, one after another or at once. */
export interface RpcSocket {
  call(method: string, params: object): Promise<SocketReply>;
  close(): void;
}

/** Opens a WebSocket. Rejects if it is refused: the message has the status. */
export async function openRpcSocket(url: string, options: ClientOptions): Promise<RpcSocket> {
  const socket = new WebSocket(url, options);
  const waiting = new Map<number, (reply: SocketReply) => void>();
  socket.on("message", (data) => {
    const reply: SocketReply = JSON.parse(String(data));
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  await once(socket, "open");
  let lastId = 0;
  return {
    call: (method, params) =>
      new Promise((resolve) => {
        waiting.set(++lastId, resolve);
        socket.send(JSON.stringify({ jsonrpc: "2.0", method, params, id: lastId }));
      }),
    close: () => socket.close(),
  };
}
