import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Caller } from "../../../../src/main/access/caller.js";
import { openChannelEvents } from "../../../../src/main/events/channel-events.js";
import { createEventHub, type EventHub } from "../../../../src/main/events/hub.js";
import type { Channel } from "../../../../src/protocol/http/channel.js";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import { turn } from "../../../support/until.js";

const happening = { topic: "volume", action: "changed", pool: "tank", id: "tank/v" } as const;
const LIMIT = 2_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A channel whose client takes what was sent when the test says so. */
function fakeChannel() {
  const sent: string[] = [];
  const closes: [number, string][] = [];
  const state = { waitingBytes: 0 };
  const channel: Channel = {
    peer: "",
    requestId: "r",
    get waitingBytes() {
      return state.waitingBytes;
    },
    send: (text) => sent.push(Buffer.from(text).toString()),
    together: (work) => work(),
    close: (code, reason) => closes.push([code, reason]),
  };
  return {
    channel,
    sent,
    closes,
    state,
    numbers: () => sent.map((text) => JSON.parse(text).params.seq as number),
  };
}

function open(hub: EventHub, caller: Partial<Caller> = {}) {
  const fake = fakeChannel();
  const cuts: string[] = [];
  const onCut = (reason: string) => void cuts.push(reason);
  const options = { hub, subscriberBytes: LIMIT, lookMs: 1_000, onCut };
  const events = openChannelEvents(options, fake.channel, { id: "t", grant: { role: "read" }, ...caller });
  const call = (name: string, params: object) => {
    const read = readJson(JSON.stringify(params));
    if ("problem" in read) throw new Error(read.problem);
    const outcome = events.own(name)?.(read.value);
    if (!outcome) throw new Error(`there is no ${name}`);
    return outcome.ok ? JSON.parse(outcome.value) : outcome.failure.code;
  };
  return { ...fake, events, call, cuts };
}

test("no event comes before the reply to Subscribe, and those that were missed come first", async () => {
  const hub = createEventHub("e", 100);
  for (let count = 0; count < 5; count++) hub.publish(happening);
  const { call, events, numbers } = open(hub);
  expect(call("Subscribe", { since: "e:3" })).toEqual({ epoch: "e", seq: 3, complete: true });
  hub.publish(happening);
  await turn();
  expect(numbers()).toEqual([]);
  events.onReply();
  expect(numbers()).toEqual([4, 5, 6]);
});

test("with batches, events that go out together are one message, of at most 256", async () => {
  const hub = createEventHub("e", 1_000);
  for (let count = 0; count < 600; count++) hub.publish(happening);
  const { call, events, sent } = open(hub);
  call("Subscribe", { batches: true, since: "e:0" });
  events.onReply();
  hub.publish(happening);
  await turn();
  const batches: { params: { seq: number } }[][] = sent.map((text) => JSON.parse(text));
  expect(batches.map(({ length }) => length)).toEqual([256, 256, 88, 1]);
  expect(batches.flat().map(({ params }) => params.seq)).toEqual(
    Array.from({ length: 601 }, (_, index) => index + 1),
  );
  call("Subscribe", {});
  events.onReply();
  hub.publish(happening);
  await turn();
  expect(JSON.parse(sent.at(-1) ?? "")).toMatchObject({ method: "event", params: { seq: 602 } });
});

test("a second Subscribe replaces the first, and Unsubscribe ends it", async () => {
  const hub = createEventHub("e", 100);
  const { call, events, numbers } = open(hub);
  call("Subscribe", {});
  events.onReply();
  call("Subscribe", { topics: ["image"] });
  events.onReply();
  expect(hub.subscribers()).toBe(1);
  hub.publish(happening);
  hub.publish({ ...happening, topic: "image" });
  await turn();
  expect(numbers()).toEqual([2]);
  expect(call("Unsubscribe", {})).toEqual({});
  expect(hub.subscribers()).toBe(0);
});

test("what it can't make sense of is refused, and changes nothing", () => {
  const hub = createEventHub("e", 100);
  const { call, events } = open(hub);
  call("Subscribe", {});
  expect(call("Subscribe", { topics: ["disk"] })).toBe("request.invalid");
  expect(call("Subscribe", { since: "yesterday" })).toBe("request.invalid");
  expect(call("Subscribe", { topics: "image" })).toBe("request.malformed");
  expect(call("Subscribe", { topic: ["image"] })).toBe("request.malformed");
  expect(hub.subscribers()).toBe(1);
  expect(events.own("GetPool")).toBeUndefined();
});

test("a client that takes nothing has little with the transport, and is cut off", async () => {
  const hub = createEventHub("e", 1_000);
  const { call, events, closes, state, sent, cuts } = open(hub);
  call("Subscribe", {});
  events.onReply();
  state.waitingBytes = 1_000_000;
  for (let count = 0; count < 5; count++) hub.publish(happening);
  await turn();
  expect([sent.length, closes]).toEqual([0, []]);
  for (let count = 0; count < 20; count++) hub.publish(happening);
  await turn();
  expect(sent).toEqual([]);
  expect(closes).toEqual([[4008, expect.stringContaining("limits.subscriberBytes")]]);
  expect([hub.subscribers(), cuts]).toEqual([0, ["slow"]]);
});

test("what the transport does not take of the events of a turn follows, once and in order", async () => {
  const hub = createEventHub("e", 1_000);
  const { call, events, channel, closes, state, sent, numbers } = open(hub);
  call("Subscribe", {});
  events.onReply();
  const { send } = channel;
  Object.assign(channel, {
    send: (text: Uint8Array) => {
      state.waitingBytes += text.length;
      send(text);
    },
  });
  hub.publish(happening);
  await turn();
  const few = Math.ceil((64 * 1024) / (sent[0]?.length ?? 1));
  for (let count = 0; count < few + 3; count++) hub.publish(happening);
  await turn();
  expect(numbers().length).toBeGreaterThan(few - 3);
  expect(numbers().length).toBeLessThan(few + 4);
  hub.publish(happening);
  await turn();
  expect(numbers().at(-1)).toBeLessThan(few + 4);
  state.waitingBytes = 0;
  events.onDrain();
  hub.publish(happening);
  await turn();
  expect(numbers()).toEqual(Array.from({ length: few + 6 }, (_, index) => index + 1));
  expect(closes).toEqual([]);
});

test("a client that takes something goes on, and what it has missed does not count as slowness", async () => {
  const hub = createEventHub("e", 1_000);
  for (let count = 0; count < 100; count++) hub.publish(happening);
  const { call, events, closes, state, numbers } = open(hub);
  state.waitingBytes = 1_000_000;
  call("Subscribe", { since: "e:0" });
  events.onReply();
  hub.publish(happening);
  await turn();
  expect([numbers(), closes]).toEqual([[], []]);
  state.waitingBytes = 0;
  events.onDrain();
  expect(numbers()).toEqual(Array.from({ length: 101 }, (_, index) => index + 1));
});

test("whoever's token is revoked is cut off, and nothing is left of who goes", () => {
  const hub = createEventHub("e", 100);
  let isCurrent = true;
  const revoked = open(hub, { isCurrent: () => isCurrent });
  revoked.call("Subscribe", {});
  vi.advanceTimersByTime(5_000);
  expect(revoked.closes).toEqual([]);
  isCurrent = false;
  vi.advanceTimersByTime(1_000);
  expect(revoked.closes).toEqual([[4001, expect.stringContaining("revoked")]]);
  expect(revoked.cuts).toEqual(["revoked"]);
  const gone = open(hub);
  gone.call("Subscribe", {});
  expect(hub.subscribers()).toBe(1);
  revoked.events.onClose();
  gone.events.onClose();
  expect([hub.subscribers(), vi.getTimerCount()]).toEqual([0, 0]);
});
