import type { AcceptedChannel, Channel, ChannelListener } from "../../protocol/http/channel.js";
import { NO_ID, readRequest } from "../../protocol/json-rpc/envelope.js";
import { readJson } from "../../protocol/json-rpc/json.js";
import { encodeReply20 } from "../../protocol/json-rpc/replies.js";
import type { ReplyText } from "../../protocol/json-rpc/reply-text.js";
import { fail, internalFailure } from "../../protocol/storage/failures.js";
import type { Span } from "../../protocol/tracing/span.js";
import type { Caller } from "../access/caller.js";
import { MessageClient } from "./message-client.js";
import type { Soon } from "./reply-context.js";
import { ReplyRoom } from "./reply-room.js";
import { whenReady } from "./run-call.js";
import type { JsonReply } from "./send-json.js";
import { type AnswerOptions, answer20, answerBatch20, type OwnMethod, rpcError20 } from "./version-2.js";

/** What a channel has besides calls: events. */
export interface ChannelExtras {
  /** The methods that the channel answers by itself. */
  own(name: string): OwnMethod | undefined;
  /** A reply was sent: what waits for it may follow. */
  onReply(): void;
  /** The caller's token does not count any more: closes the channel. */
  onRevoked(): void;
  onDrain(): void;
  onClose(): void;
}

export interface ChannelOptions extends AnswerOptions {
  /** Of all messages that are being answered. */
  readonly bodyBytesInFlight: number;
  /** Of all replies that have been made and not been taken: see ReplyRoom. */
  readonly replyBytesInFlight: number;
  openExtras(channel: Channel, caller: Caller): ChannelExtras;
  /** Begins the span of a message. Undefined: none is traced. */
  readonly beginSpan?: ((requestId: string, peer: string) => Span | undefined) | undefined;
  /** Called with an exception, which is a bug. The client gets an error. */
  onBug(error: unknown): void;
}

/** Answers JSON-RPC 2.0 on channels. */
export interface RpcChannels {
  accept(caller: Caller, protocol: string): AcceptedChannel;
}

/** Messages of one channel whose replies have not been taken. One that has more is closed. */
const MOST_MESSAGES = 1_000;
/** Shorter messages are not counted: MOST_MESSAGES bounds them. */
const UNCOUNTED_CHARACTERS = 4 * 1024;

/** RFC 6455, 7.4.1: it breaks a rule of ours. */
const FLOODED = { code: 1008, reason: `more than ${MOST_MESSAGES} messages whose replies were not taken` };

/** What all channels share. */
interface Shared {
  readonly options: ChannelOptions;
  readonly room: ReplyRoom;
  /** Characters of the messages that are being answered. */
  inFlight: number;
}

export function createRpcChannels(options: ChannelOptions): RpcChannels {
  const room = new ReplyRoom(options.replyBytesInFlight);
  const shared: Shared = { options, room, inFlight: 0 };
  return {
    accept: (caller, protocol) => ({ protocol, open: (channel) => openChannel(shared, channel, caller) }),
  };
}

function openChannel(shared: Shared, channel: Channel, caller: Caller): ChannelListener {
  const { options, room } = shared;
  const extras = options.openExtras(channel, caller);
  /** Those that are being answered. */
  const asking = new Set<MessageClient>();
  /** Those whose replies wait in the channel. */
  const leaving = new Set<MessageClient>();
  let lastMessage = 0;

  function answer(text: string, client: MessageClient): Soon<JsonReply | undefined> {
    const asker = { client, room, caller, own: extras.own };
    const read = readJson(text);
    if ("problem" in read) return rpcError20(NO_ID, "parse", read.problem);
    if (read.value.kind === "array") return answerBatch20(options, read.value, asker);
    const request = readRequest(read.value, "2.0");
    if (request.version === "2.0") return answer20(options, request, asker);
    return rpcError20(request.id ?? NO_ID, "invalid", 'jsonrpc: expected "2.0"');
  }

  function reply(client: MessageClient, answered: JsonReply | undefined): void {
    asking.delete(client);
    if (answered) channel.send(wholeText(answered.text));
    extras.onReply();
    if (channel.waitingBytes === 0) return client.end();
    leaving.add(client);
  }

  function onBug(client: MessageClient, error: unknown): void {
    options.onBug(error);
    reply(client, { text: encodeReply20(NO_ID, internalFailure(error)), isOverload: false });
  }

  function onText(text: string): void {
    if (caller.isCurrent?.() === false) return extras.onRevoked();
    if (asking.size + leaving.size >= MOST_MESSAGES) {
      return channel.close(FLOODED.code, FLOODED.reason);
    }
    const { peer } = channel;
    const requestId = `${channel.requestId}.${(++lastMessage).toString(36)}`;
    const client = new MessageClient(requestId, peer, options.beginSpan?.(requestId, peer));
    asking.add(client);
    if (text.length >= UNCOUNTED_CHARACTERS && !takeRoom(shared, text.length, client)) {
      const full = `the bodies of other requests take all of limits.bodyBytesInFlight (${options.bodyBytesInFlight} bytes), try again`;
      const refused = encodeReply20(NO_ID, fail("service.overloaded", full));
      return reply(client, { text: refused, isOverload: true });
    }
    try {
      const answering = whenReady(answer(text, client), (answered) => reply(client, answered));
      if (answering instanceof Promise) answering.catch((error: unknown) => onBug(client, error));
    } catch (error) {
      onBug(client, error);
    }
  }

  return {
    onText,
    onDrain: () => {
      extras.onDrain();
      if (leaving.size === 0 || channel.waitingBytes > 0) return;
      const left = [...leaving];
      leaving.clear();
      for (const client of left) client.end();
    },
    onClose: () => {
      extras.onClose();
      for (const client of [...asking, ...leaving]) client.leave();
    },
  };
}

/** Counts a message until its reply was taken. @returns false if there is no room for it. */
function takeRoom(shared: Shared, characters: number, client: MessageClient): boolean {
  if (shared.inFlight + characters > shared.options.bodyBytesInFlight) return false;
  shared.inFlight += characters;
  client.onEnd(() => {
    shared.inFlight -= characters;
  });
  return true;
}

function wholeText(text: ReplyText): string | Uint8Array {
  if (typeof text === "string") return text;
  return Buffer.concat(text.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
}
