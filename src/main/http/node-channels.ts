import { type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Server as TlsServer } from "node:https";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { WebSocket, WebSocketServer } from "ws";
import { type AcceptedChannel, type Channel, NOT_TEXT } from "../../protocol/http/channel.js";
import { PLAIN_TEXT } from "../../protocol/http/headers.js";
import { headProblem, type NodeRoom, replyOf, requestOf } from "../../protocol/http/node-exchange.js";
import type { TransportOptions } from "../../protocol/http/transport.js";

/** The WebSockets of a server of node:http. */
export interface NodeChannels {
  /** Cuts those that are open. */
  close(): void;
}

/** Takes WebSockets, at whatever path `accept` accepts one. What comes on refused connections is not looked at. */
export function addNodeChannels(
  server: Server | TlsServer,
  { channels, limits }: Pick<TransportOptions, "channels" | "limits">,
  room: NodeRoom,
  isRefused: (socket: Socket) => boolean,
): NodeChannels {
  const open = new Set<WebSocket>();
  /** Loaded with the first client that wants it. */
  let loading: Promise<WebSocketServer> | undefined;
  const protocols = new WeakMap<IncomingMessage, string>();

  async function load(): Promise<WebSocketServer> {
    const { WebSocketServer } = await import("ws");
    return new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.bodyBytes,
      handleProtocols: (_offered, incoming) => protocols.get(incoming) || false,
    });
  }

  function serve(
    socket: WebSocket,
    stream: Duplex,
    accepted: AcceptedChannel,
    idleMs: number,
    requestId: string,
  ): void {
    open.add(socket);
    const peer = stream instanceof Socket ? (stream.remoteAddress ?? room.peer) : room.peer;
    /** Whether something has come since the last ping. */
    let isAlive = true;
    const noteLife = () => {
      isAlive = true;
    };
    const pings = setInterval(() => {
      if (!isAlive) return socket.terminate();
      isAlive = false;
      socket.ping();
    }, idleMs / 2);
    const channel: Channel = {
      peer,
      requestId,
      get waitingBytes() {
        return socket.readyState === socket.OPEN ? socket.bufferedAmount : 0;
      },
      send: (text) => {
        if (socket.readyState === socket.OPEN) socket.send(text, { binary: false }, onSent);
      },
      together: (work) => {
        stream.cork();
        work();
        stream.uncork();
      },
      close: (code, reason) => socket.close(code, reason),
    };
    const listener = accepted.open(channel);
    /** A message is with the kernel. */
    function onSent(error?: Error | null): void {
      if (!error) listener.onDrain();
    }
    socket.on("pong", noteLife);
    socket.on("message", (message, isBinary) => {
      noteLife();
      if (isBinary) return channel.close(NOT_TEXT.code, NOT_TEXT.reason);
      listener.onText(message.toString());
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(pings);
      open.delete(socket);
      listener.onClose();
    });
  }

  if (channels) {
    server.on("upgrade", (incoming: IncomingMessage, stream: Duplex, head: Buffer) => {
      if (!(stream instanceof Socket)) return void stream.destroy();
      if (isRefused(stream)) return;
      if (!wantsWebSocket(incoming)) return serveWithoutUpgrade(server, incoming, stream, head);
      stream.on("error", () => {});
      const outgoing = new ServerResponse(incoming);
      outgoing.assignSocket(stream);
      outgoing.shouldKeepAlive = false;
      const given = incoming.headers["x-request-id"];
      const requestId = room.requestIds(typeof given === "string" ? given : "");
      const reply = replyOf(outgoing, requestId, room);
      const problem = headProblem(incoming);
      if (problem !== undefined) reply.send(400, PLAIN_TEXT, `${problem}\n`);
      const accepted = problem === undefined && channels.accept(requestOf(incoming), reply);
      if (!accepted) return void outgoing.once("finish", () => stream.destroySoon());
      outgoing.detachSocket(stream);
      protocols.set(incoming, accepted.protocol);
      loading ??= load();
      loading.then(
        (sockets) =>
          sockets.handleUpgrade(incoming, stream, head, (socket) =>
            serve(socket, stream, accepted, channels.idleMs, requestId),
          ),
        () => stream.destroy(),
      );
    });
  }
  return {
    close: () => {
      for (const socket of open) socket.terminate();
    },
  };
}

function wantsWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
}

/** Members of a head that ask for an upgrade. */
const OF_UPGRADES: readonly string[] = ["connection", "upgrade", "http2-settings"];

/**
 * Serves a request that asks for another upgrade, h2c as Java's client does, as if it did not: that is what a
 * server does that knows no such protocol (RFC 9110, 7.8), and node:http doesn't once it takes WebSockets.
 */
function serveWithoutUpgrade(
  server: Server | TlsServer,
  incoming: IncomingMessage,
  stream: Socket,
  head: Buffer,
): void {
  const lines = [`${incoming.method} ${incoming.url} HTTP/${incoming.httpVersion}`];
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index] ?? "";
    if (!OF_UPGRADES.includes(name.toLowerCase())) lines.push(`${name}: ${incoming.rawHeaders[index + 1]}`);
  }
  stream.unshift(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), head]));
  server.emit(stream instanceof TLSSocket ? "secureConnection" : "connection", stream);
}
