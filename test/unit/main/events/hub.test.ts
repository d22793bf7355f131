import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TOPICS, type Topic } from "../../../../src/main/events/event.js";
import type { EventBatch } from "../../../../src/main/events/event-batch.js";
import { createEventRing } from "../../../../src/main/events/event-ring.js";
import { createEventHub, type EventHub, type Wanted } from "../../../../src/main/events/hub.js";
import { createView, type SeenEvent, seen } from "../../../../src/main/events/visible-events.js";
import { coversName } from "../../../../src/protocol/access/name-patterns.js";
import type { Grant } from "../../../../src/protocol/access/roles.js";
import { turn, until } from "../../../support/until.js";

const ALL: Grant = { role: "read" };
const mayKnowOf = (grant: Grant, event: SeenEvent["event"]) => createView(grant)(seen(event));
const happening = { topic: "volume", action: "created", pool: "tank", id: "tank/guests/a/disk-0" } as const;

const wantAll: Wanted = { topics: undefined, grant: ALL, since: undefined };

/** Subscribes, and keeps the numbers that come, those that were missed first. */
function watch(hub: EventHub, wanted: Wanted = wantAll) {
  const batches: EventBatch[] = [];
  const ends: string[] = [];
  const subscription = hub.subscribe(wanted, {
    kind: "sse",
    take: (batch) => batches.push(batch),
    end: async (reason) => void ends.push(reason),
  });
  if (subscription.missed) batches.push(subscription.missed);
  const events = () => batches.flatMap((batch) => batch.events);
  return { subscription, batches, ends, events, numbers: () => events().map(({ seq }) => seq) };
}

const grants = fc.record({
  role: fc.constant("read" as const),
  pools: fc.option(fc.subarray(["tank", "fast"], { minLength: 1 }), { nil: undefined }),
  names: fc.option(fc.subarray(["guests/a", "guests/a/*", "guests/b-*", "images/x"], { minLength: 1 }), {
    nil: undefined,
  }),
});
const topics = fc.option(
  fc.subarray([...TOPICS]).map((some): ReadonlySet<Topic> => new Set(some)),
  { nil: undefined },
);
const happenings = fc.record({
  topic: fc.constantFrom(...TOPICS),
  action: fc.constantFrom("created" as const, "deleted" as const, "changed" as const),
  pool: fc.constantFrom("tank", "fast"),
  rest: fc.constantFrom(
    "",
    "/guests",
    "/guests/a",
    "/guests/a/disk-0@s",
    "/guests/b-1",
    "/guests/c",
    "/images/x",
  ),
});
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: happenings.map(({ rest, ...each }) => ({ publish: { ...each, id: each.pool + rest } })),
    },
    {
      weight: 2,
      arbitrary: fc.record({ grant: grants, topics, back: fc.option(fc.nat(30), { nil: undefined }) }),
    },
    { weight: 1, arbitrary: fc.constant("turn" as const) },
  ),
  { maxLength: 80 },
);

describe("the hub", () => {
  test("gives all events of a turn together, written once for all who want the same", async () => {
    const hub = createEventHub("e", 10);
    const [one, other] = [watch(hub), watch(hub)];
    hub.publish(happening);
    hub.publish(happening);
    expect(one.numbers()).toEqual([]);
    expect(hub.place).toEqual({ epoch: "e", seq: 0 });
    await turn();
    expect(one.numbers()).toEqual([1, 2]);
    expect(hub.place).toEqual({ epoch: "e", seq: 2 });
    expect(other.batches[0]).toBe(one.batches[0]);
    expect(one.batches[0]?.frames).toBe(other.batches[0]?.frames);
    expect(one.batches[0]?.frames.toString()).toMatch(
      /^id: e:1\nevent: volume\ndata: \{"epoch":"e","seq":1,.*\}\n\nid: e:2\n/,
    );
    expect(JSON.parse(String(one.batches[0]?.messages[1]))).toMatchObject({
      method: "event",
      params: { seq: 2 },
    });
  });

  test("after a turn that took long, the next events wait twice as long, and go out together", async () => {
    const hub = createEventHub("run", 10);
    const { batches } = watch(hub);
    hub.subscribe(wantAll, {
      kind: "sse",
      take: () => {
        const end = performance.now() + 30;
        while (performance.now() < end);
      },
      end: async () => {},
    });
    hub.publish(happening);
    await turn();
    await turn();
    expect(batches).toHaveLength(1);
    const longAt = performance.now();
    hub.publish(happening);
    for (let count = 0; count < 3; count++) await turn();
    hub.publish(happening);
    await until("they are there", () => batches.length === 2);
    expect(performance.now() - longAt).toBeGreaterThanOrEqual(55);
    expect(batches[1]?.events.map(({ seq }) => seq)).toEqual([2, 3]);
    // Many are not kept waiting.
    for (let count = 0; count < 200; count++) hub.publish(happening);
    await turn();
    await turn();
    expect(batches).toHaveLength(3);
    // Nobody who subscribes meanwhile gets what was before, or waits for it.
    hub.publish(happening);
    expect(watch(hub).subscription.seq).toBe(204);
    expect(batches).toHaveLength(4);
  });

  test("a subscriber that has gone gets nothing more, and counts no more", async () => {
    const hub = createEventHub("e", 10);
    const { subscription, numbers } = watch(hub);
    expect(hub.subscribers()).toBe(1);
    hub.publish(happening);
    await turn();
    subscription.stop();
    subscription.stop();
    hub.publish(happening);
    // Nothing waits for anybody.
    expect(hub.place.seq).toBe(2);
    await turn();
    expect([numbers(), hub.subscribers()]).toEqual([[1], 0]);
  });

  test("who comes gets the events of a name that others had before, also after others like it have gone", async () => {
    const hub = createEventHub("e", 10);
    const all = watch(hub);
    hub.publish(happening);
    const wanted: Wanted = { ...wantAll, topics: new Set(["volume"]) };
    const first = watch(hub, wanted);
    hub.publish(happening);
    await turn();
    first.subscription.stop();
    const second = watch(hub, wanted);
    hub.publish(happening);
    await turn();
    expect([all, first, second].map((each) => each.numbers())).toEqual([[1, 2, 3], [2], [3]]);
  });

  test("its end tells all, after the last events", async () => {
    const hub = createEventHub("e", 10);
    const { numbers, ends } = watch(hub);
    hub.publish(happening);
    await hub.close();
    expect([numbers(), ends, hub.isClosed]).toEqual([[1], ["stopping"], true]);
  });

  test("who names a place of another run, one that is not kept or one to come is told that some is lost", async () => {
    const hub = createEventHub("e", 3);
    for (let count = 0; count < 5; count++) hub.publish(happening);
    const since = (epoch: string, seq: number) => {
      const { subscription, numbers } = watch(hub, { ...wantAll, since: { epoch, seq } });
      return [subscription.isComplete, subscription.seq, numbers()];
    };
    expect(since("e", 2)).toEqual([true, 2, [3, 4, 5]]);
    expect(since("e", 5)).toEqual([true, 5, []]);
    expect(since("e", 1)).toEqual([false, 5, []]);
    expect(since("e", 6)).toEqual([false, 5, []]);
    expect(since("f", 5)).toEqual([false, 5, []]);
  });

  test("no event is lost, repeated, out of order or told to whom it is not for", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const hub = createEventHub("e", 12);
        const published: (Parameters<EventHub["publish"]>[0] & { seq: number })[] = [];
        const watched: { wanted: Wanted; from: number; numbers(): number[] }[] = [];
        for (const step of all) {
          if (step === "turn") await turn();
          else if ("publish" in step) {
            hub.publish(step.publish);
            published.push({ ...step.publish, seq: published.length + 1 });
          } else {
            const newest = published.length;
            const since =
              step.back === undefined ? undefined : { epoch: "e", seq: Math.max(0, newest - step.back) };
            const wanted = { topics: step.topics, grant: step.grant, since };
            const { subscription, numbers } = watch(hub, wanted);
            expect(subscription.isComplete).toBe(since === undefined || newest - since.seq <= 12);
            watched.push({ wanted, from: subscription.seq, numbers });
          }
        }
        await turn();
        for (const { wanted, from, numbers } of watched) {
          const due = published.filter(
            (each) =>
              each.seq > from && wanted.topics?.has(each.topic) !== false && mayKnowOf(wanted.grant, each),
          );
          expect(numbers()).toEqual(due.map(({ seq }) => seq));
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("who may know of an event", () => {
  test("nobody is told of another pool, or of a dataset that no pattern covers and that is not above one", () => {
    fc.assert(
      fc.property(grants, happenings, (grant, { rest, ...each }) => {
        const event = { ...each, id: each.pool + rest };
        if (!mayKnowOf(grant, event)) return;
        expect(grant.pools?.includes(event.pool)).not.toBe(false);
        if (grant.names === undefined || event.topic === "image" || event.topic === "pool") return;
        const isAbove =
          event.action === "deleted" &&
          grant.names.some((name) => `${event.pool}/${name}`.startsWith(event.id));
        expect(coversName(grant.names, event.id) || isAbove).toBe(true);
      }),
    );
  });

  test("who has a volume is told when a dataset above it is deleted, and not when one is made", () => {
    const grant: Grant = { role: "read", names: ["guests/a/disk-*"] };
    const of = (action: "created" | "deleted", id: string) =>
      mayKnowOf(grant, { topic: "volume", action, pool: "tank", id });
    expect(of("deleted", "tank/guests")).toBe(true);
    expect(of("deleted", "tank/guests/a")).toBe(true);
    expect(of("created", "tank/guests/a")).toBe(false);
    expect(of("deleted", "tank/guests/b")).toBe(false);
    expect(of("created", "tank/guests/a/disk-1")).toBe(true);
  });
});

describe("the ring", () => {
  test("keeps as many characters as it may, and forgets the oldest", () => {
    const ring = createEventRing(100, 50);
    for (let seq = 1; seq <= 8; seq++) ring.add({ ...happening, seq, json: "x".repeat(10) });
    expect(ring.since(3)?.map(({ seq }) => seq)).toEqual([4, 5, 6, 7, 8]);
    expect(ring.since(2)).toBeUndefined();
    ring.add({ ...happening, seq: 9, json: "x".repeat(51) });
    expect(ring.since(8)).toBeUndefined();
    expect(ring.since(9)).toEqual([]);
  });
});
