import type { Channel } from "../../protocol/http/channel.js";
import type { JsonValue } from "../../protocol/json-rpc/json.js";
import { arrayOf, boolean, readParams, string, struct } from "../../protocol/json-rpc/params.js";
import { type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { Caller } from "../access/caller.js";
import type { CutReason } from "../observability/event-metrics.js";
import type { EventBatch } from "./event-batch.js";
import { END_TEXT } from "./event-stream.js";
import type { EventHub, Subscriber, Subscription, SubscriptionEnd, Wanted } from "./hub.js";
import { parsePlace, parseTopics } from "./subscription-request.js";

/** Events on a channel: the methods Subscribe and Unsubscribe, and notifications `event`. */
export interface ChannelEvents {
  own(name: string): ((params: JsonValue | undefined) => Outcome<string>) | undefined;
  /** A reply was sent: the events that wait for it may follow. */
  onReply(): void;
  /** The caller's token does not count any more: closes the channel. */
  onRevoked(): void;
  /** The daemon stops: closes the channel. */
  onStop(): void;
  onDrain(): void;
  onClose(): void;
}

/** How a channel is closed. 4000 and above are ours: RFC 6455, 7.4.2. */
const CLOSE_CODES: Readonly<Record<SubscriptionEnd, number>> = { slow: 4008, stopping: 1001, revoked: 4001 };

/** What the transport may have to keep for a client: the rest waits in the queue, whose memory is shared. */
const KEPT_BYTES = 64 * 1024;

const subscribeRequest = struct({ topics: arrayOf(string), since: string, batches: boolean });

export interface ChannelEventOptions {
  readonly hub: EventHub;
  /** What may wait for a client. One for whom more waits is cut off. */
  readonly subscriberBytes: number;
  /** How often it is looked whether the caller's token still counts. */
  readonly lookMs: number;
  /** Called when a client that has a subscription is cut off. */
  onCut(reason: CutReason): void;
}

export function openChannelEvents(
  { hub, subscriberBytes, lookMs, onCut }: ChannelEventOptions,
  channel: Channel,
  { grant, isCurrent }: Caller,
): ChannelEvents {
  let subscription: Subscription | undefined;
  /** From `first` on; the ones before have been sent. A client that keeps up has none. */
  let queue: Uint8Array[] = [];
  let first = 0;
  let waiting = 0;
  /** What may wait now: more while the client has yet to take what it has missed. */
  let limit = subscriberBytes;
  /** Whether events that go out together are one message. */
  let isBatched = false;
  /** Until the reply to Subscribe is sent, no event is. */
  let isHeld = false;

  /** Sends messages from the one at `from` on, as many as the transport may have. @returns where the others begin. */
  function sendFrom(messages: readonly Uint8Array[], from: number): number {
    let next = from;
    const sendSome = () => {
      let sent = 0;
      for (let each = messages[next]; each && sent < KEPT_BYTES; each = messages[++next]) {
        channel.send(each);
        sent += each.length;
      }
    };
    while (next < messages.length && channel.waitingBytes < KEPT_BYTES) {
      const before = next;
      channel.together(sendSome);
      // It was closed meanwhile.
      if (next === before) break;
    }
    return next;
  }

  function pump(): void {
    if (isHeld || queue.length === 0) return;
    const before = first;
    first = sendFrom(queue, first);
    waiting -= bytesOf(queue, before, first);
    if (first < queue.length) return;
    queue = [];
    first = 0;
    limit = subscriberBytes;
  }

  /** @returns how many bytes wait more than before. */
  function add(messages: readonly Uint8Array[], from = 0): number {
    const bytes = bytesOf(messages, from);
    for (const message of messages.slice(from)) queue.push(message);
    waiting += bytes;
    return bytes;
  }

  const messagesOf = (batch: EventBatch) => (isBatched ? batch.together : batch.messages);

  /**
   * What can be sent at once is not queued: queues of thousands of clients, filled and emptied within a turn, would all
   * be garbage that only a collection of the whole heap finds.
   */
  function take(batch: EventBatch): void {
    const messages = messagesOf(batch);
    const isBehind = isHeld || queue.length > 0;
    const sent = isBehind ? 0 : sendFrom(messages, 0);
    if (sent < messages.length) add(messages, sent);
    if (isBehind) pump();
    if (waiting > limit) close("slow");
  }

  function close(reason: SubscriptionEnd): void {
    if (subscription && reason !== "stopping") onCut(reason);
    stop();
    channel.close(CLOSE_CODES[reason], END_TEXT[reason]);
  }
  const look = setInterval(() => {
    if (isCurrent?.() === false) close("revoked");
  }, lookMs);
  look.unref();

  const subscriber: Subscriber = {
    kind: "websocket",
    take,
    end: async (reason) => close(reason),
  };

  function stop(): void {
    subscription?.stop();
    subscription = undefined;
    queue = [];
    first = 0;
    waiting = 0;
    limit = subscriberBytes;
  }

  function subscribe(params: JsonValue | undefined): Outcome<string> {
    const wanted = readWanted(params);
    if (!wanted.ok) return wanted;
    stop();
    isHeld = true;
    isBatched = wanted.value.batches;
    subscription = hub.subscribe({ ...wanted.value, grant }, subscriber);
    const { epoch, seq, isComplete, missed } = subscription;
    if (missed) limit += add(messagesOf(missed));
    return succeed(JSON.stringify({ epoch, seq, complete: isComplete }));
  }

  function unsubscribe(params: JsonValue | undefined): Outcome<string> {
    const read = readParams(struct({}), "UnsubscribeRequest", params, true);
    if (!read.ok) return read;
    stop();
    return succeed("{}");
  }

  return {
    own: (name) => {
      if (name === "Subscribe") return subscribe;
      return name === "Unsubscribe" ? unsubscribe : undefined;
    },
    onReply: () => {
      if (!isHeld) return;
      isHeld = false;
      pump();
    },
    onRevoked: () => close("revoked"),
    onStop: () => close("stopping"),
    onDrain: pump,
    onClose: () => {
      clearInterval(look);
      stop();
    },
  };
}

/** How many bytes those from `from` on have, before the one at `to`. */
function bytesOf(messages: readonly Uint8Array[], from: number, to = messages.length): number {
  let bytes = 0;
  for (let index = from; index < to; index++) bytes += messages[index]?.length ?? 0;
  return bytes;
}

function readWanted(
  params: JsonValue | undefined,
): Outcome<Omit<Wanted, "grant"> & { readonly batches: boolean }> {
  const read = readParams(subscribeRequest, "SubscribeRequest", params, true);
  if (!read.ok) return read;
  const topics = parseTopics(read.value.topics);
  if (!topics.ok) return topics;
  const since = parsePlace(read.value.since);
  const { batches } = read.value;
  return since.ok ? succeed({ topics: topics.value, since: since.value, batches }) : since;
}
