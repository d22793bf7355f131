import { allowing, PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { BodySink, Headers, HttpReply, HttpRequest } from "../../protocol/http/transport.js";
import type { Outcome } from "../../protocol/storage/failures.js";
import { lacksRole } from "../access/admission.js";
import type { Caller } from "../access/caller.js";
import type { CutReason } from "../observability/event-metrics.js";
import type { EventBatch } from "./event-batch.js";
import type { EventHub, EventPlace, Subscriber, Subscription, SubscriptionEnd, Wanted } from "./hub.js";
import { LiveSource } from "./live-source.js";
import { parsePlace, parseTopics } from "./subscription-request.js";

export interface EventStreamOptions {
  readonly hub: EventHub;
  /** What may wait for a client. One for whom more waits is cut off. */
  readonly subscriberBytes: number;
  /** How often a client hears something. */
  readonly keepAliveMs: number;
  /** How long a client may take for the last event. */
  readonly endMs: number;
  /** Called when a client is cut off. */
  onCut(reason: CutReason): void;
}

/** Serves `GET /events`: server-sent events, as the HTML standard has them. */
export type EventStreams = (request: HttpRequest, reply: HttpReply, caller: Caller) => void;

const HEADERS: Headers = [
  ["Content-Type", "text/event-stream"],
  ["Cache-Control", "no-store"],
  // nginx would keep events until a buffer is full.
  ["X-Accel-Buffering", "no"],
];

/** What the last event of a stream says. */
export const END_TEXT: Readonly<Record<SubscriptionEnd, string>> = {
  slow: "more events waited than limits.subscriberBytes allows: go on from the last one that came",
  stopping: "imagestore is stopping: connect again",
  revoked: "the token has been revoked, has expired or was changed",
};

export function createEventStreams(options: EventStreamOptions): EventStreams {
  return (request, reply, caller) => {
    if (request.method !== "GET") {
      return reply.send(405, allowing("GET"), `method not allowed: ${request.method}\n`);
    }
    if (options.hub.isClosed) return reply.send(503, PLAIN_TEXT, `${END_TEXT.stopping}\n`);
    const denied = lacksRole("read", caller.grant);
    if (denied) return reply.send(403, PLAIN_TEXT, `${denied.failure.message}\n`);
    const wanted = readWanted(request, caller);
    if (!wanted.ok) return reply.send(400, PLAIN_TEXT, `${wanted.failure.message}\n`);
    openStream(options, wanted.value, reply, caller);
  };
}

/** A browser that connects again repeats the query, and has the newer place in its header. */
function readWanted(request: HttpRequest, { grant }: Caller): Outcome<Wanted> {
  const query = new URLSearchParams(request.query);
  const topics = parseTopics((query.get("topics") ?? "").split(",").filter((topic) => topic !== ""));
  if (!topics.ok) return topics;
  const since = parsePlace(request.header("last-event-id") || (query.get("since") ?? ""));
  return since.ok ? { ok: true, value: { topics: topics.value, since: since.value, grant } } : since;
}

function openStream(
  { hub, subscriberBytes, keepAliveMs, endMs, onCut }: EventStreamOptions,
  wanted: Wanted,
  reply: HttpReply,
  caller: Caller,
): void {
  const source = new LiveSource();
  /** What may wait now: more while the client has yet to take what it has missed. */
  let limit = subscriberBytes;
  /** Set when the last event is in the source: then no other comes. */
  let ending: PromiseWithResolver | undefined;
  const sink: BodySink = reply.stream(200, HEADERS, source, pump);

  function pump(): void {
    while (!sink.isBlocked && sink.pump() > 0);
    if (source.waiting === 0) limit = subscriberBytes;
    if (ending && source.waiting === 0 && !sink.isBlocked) finish();
  }

  function take(batch: EventBatch): void {
    if (ending) return;
    source.add(batch.frames);
    pump();
    if (source.waiting > limit) void end("slow");
  }

  function finish(): void {
    source.complete();
    sink.end(() => ending?.resolve());
  }

  function end(reason: SubscriptionEnd): Promise<void> {
    if (ending) return ending.promise;
    stop();
    ending = withResolver();
    const deadline = setTimeout(() => {
      sink.reset();
      ending?.resolve();
    }, endMs);
    void ending.promise.then(() => clearTimeout(deadline));
    if (reason !== "stopping") onCut(reason);
    if (reason === "slow") source.clear();
    source.add(frame("end", { reason, message: END_TEXT[reason] }));
    pump();
    return ending.promise;
  }

  const subscriber: Subscriber = { kind: "sse", take, end };
  const keepAlive = setInterval(() => {
    if (caller.isCurrent?.() === false) return void end("revoked");
    // It has the place too: a client for whom nothing has come for long then misses nothing.
    if (source.waiting === 0) source.add(Buffer.from(`: keep-alive\nid: ${placeText(hub.place)}\n\n`));
    pump();
  }, keepAliveMs);
  let subscription: Subscription | undefined;

  function stop(): void {
    clearInterval(keepAlive);
    subscription?.stop();
  }

  reply.onDisconnect(() => {
    stop();
    ending?.resolve();
  });
  if (reply.isDisconnected) return stop();
  subscription = hub.subscribe(wanted, subscriber);
  const { epoch, seq, isComplete, missed } = subscription;
  source.add(frame("subscribed", { epoch, seq, complete: isComplete }, { epoch, seq }));
  if (missed) {
    source.add(missed.frames);
    limit += missed.frames.length;
  }
  pump();
}

function placeText({ epoch, seq }: EventPlace): string {
  return `${epoch}:${seq}`;
}

/** An event of the stream itself. With a `place`, a client that connects again goes on from there. */
function frame(name: string, data: object, place?: EventPlace): Buffer {
  const id = place ? `id: ${placeText(place)}\n` : "";
  return Buffer.from(`${id}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

interface PromiseWithResolver {
  readonly promise: Promise<void>;
  resolve(): void;
}

/** Node 20 has no Promise.withResolvers. */
function withResolver(): PromiseWithResolver {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
