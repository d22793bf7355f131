import type { TemplatedApp, WebSocket } from "@btc-vision/uwebsockets.js";
import {
  type AcceptedChannel,
  type Channel,
  type ChannelListener,
  NOT_TEXT,
} from "../../protocol/http/channel.js";
import { PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { TransportOptions } from "../../protocol/http/transport.js";
import { type ReplyContext, UwsReply } from "./uws-reply.js";
import { ReceivedRequest } from "./uws-request.js";

/** The module would drop what exceeds this, so whoever sends must look at `waitingBytes`. */
const MOST_WAITING_BYTES = 1024 * 1024 * 1024;

/** What the module keeps for each channel. */
interface ChannelState {
  readonly accepted: AcceptedChannel;
  readonly requestId: string;
  readonly peer: string;
  channel: UwsChannel | undefined;
  listener: ChannelListener | undefined;
}

class UwsChannel implements Channel {
  /** From then on the module's socket must not be touched. */
  isClosed = false;

  constructor(
    private readonly socket: WebSocket<ChannelState>,
    readonly requestId: string,
    readonly peer: string,
  ) {}

  get waitingBytes(): number {
    return this.isClosed ? 0 : this.socket.getBufferedAmount();
  }

  send(text: string | Uint8Array): void {
    if (!this.isClosed) this.socket.send(text, false);
  }

  together(work: () => void): void {
    if (!this.isClosed) this.socket.cork(work);
  }

  close(code: number, reason: string): void {
    if (!this.isClosed) this.socket.end(code, reason);
  }
}

/** Takes WebSockets, at whatever path `accept` accepts one. */
export function addChannels(
  app: TemplatedApp,
  { channels, limits }: Pick<TransportOptions, "channels" | "limits">,
  context: ReplyContext,
  requestIds: (given: string) => string,
): void {
  if (!channels) return;
  app.ws<ChannelState>("/*", {
    maxPayloadLength: limits.bodyBytes,
    maxBackpressure: MOST_WAITING_BYTES,
    // Of its own accord it pings before that.
    idleTimeout: Math.ceil(channels.idleMs / 1000),
    upgrade: (response, request, socketContext) => {
      const received = new ReceivedRequest(request, "GET");
      const key = request.getHeader("sec-websocket-key");
      const extensions = request.getHeader("sec-websocket-extensions");
      const reply = new UwsReply(response, false, context, requestIds(received.header("x-request-id")));
      if (received.problem !== undefined) {
        reply.closeAfter = true;
        return reply.send(400, PLAIN_TEXT, `${received.problem}\n`);
      }
      const accepted = channels.accept(received, reply);
      if (!accepted) return;
      const { requestId, peer } = reply;
      reply.isClosed = true;
      const state: ChannelState = { accepted, requestId, peer, channel: undefined, listener: undefined };
      response.upgrade(state, key, accepted.protocol, extensions, socketContext);
    },
    open: (socket) => {
      const state = socket.getUserData();
      state.channel = new UwsChannel(socket, state.requestId, state.peer);
      state.listener = state.accepted.open(state.channel);
    },
    message: (socket, message, isBinary) => {
      const { listener, channel } = socket.getUserData();
      if (isBinary) return channel?.close(NOT_TEXT.code, NOT_TEXT.reason);
      // The memory is the module's, and only during this call.
      listener?.onText(Buffer.from(message).toString());
    },
    drain: (socket) => socket.getUserData().listener?.onDrain(),
    close: (socket) => {
      const { listener, channel } = socket.getUserData();
      if (channel) channel.isClosed = true;
      listener?.onClose();
    },
  });
}
