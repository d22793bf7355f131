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
  /** From `first` on; the ones before have been sent. */
  let queue: Uint8Array[] = [];
  let first = 0;
  let waiting = 0;
  /** What may wait now: more while the client has yet to take what it has missed. */
  let limit = subscriberBytes;
  /** Whether events that go out together are one message. */
  let isBatched = false;
  /** Until the reply to Subscribe is sent, no event is. */
  let isHeld = false;

  function pump(): void {
    if (isHeld) return;
    while (first < queue.length && channel.waitingBytes < KEPT_BYTES) channel.together(sendSome);
    if (first < queue.length) return;
    queue = [];
    first = 0;
    limit = subscriberBytes;
  }

  function sendSome(): void {
    let sent = 0;
    for (let next = queue[first]; next && sent < KEPT_BYTES; next = queue[first]) {
      channel.send(next);
      first++;
      sent += next.length;
    }
    waiting -= sent;
  }

  function add(batch: EventBatch): number {
    let bytes = 0;
    for (const message of isBatched ? batch.together : batch.messages) {
      queue.push(message);
      bytes += message.length;
    }
    waiting += bytes;
    return bytes;
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
    take: (batch) => {
      add(batch);
      pump();
      if (waiting > limit) close("slow");
    },
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
    if (missed) limit += add(missed);
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
