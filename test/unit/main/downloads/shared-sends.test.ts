import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSharedSends, type SharedSends } from "../../../../src/main/downloads/shared-sends.js";
import type { SendHandle, SendListener } from "../../../../src/main/downloads/streaming-handle.js";
import type { Failure } from "../../../../src/protocol/storage/failures.js";
import {
  createRingMemory,
  createRingReader,
  createRingWriter,
} from "../../../../src/protocol/threads/byte-ring.js";
import { turn, until } from "../../../support/until.js";

const WINDOW = 1_024;
const PREFIX = 2_048;
const FRAME = 100;
const TOTAL = 10_000;
const LAG_MS = 20;

/** The bytes of the stream: each tells where it stands. */
const STREAM = Uint8Array.from({ length: TOTAL }, (_, index) => index % 251);

/** A process that gives the stream, a frame at a time, as far as its ring has room. */
interface FakeSend {
  sent: number;
  isOver: boolean;
  isClosed: boolean;
  /** @returns whether it could give one. */
  step(): boolean;
  end(failure?: Failure): void;
}

/** `rings`: for so many sends there is memory. */
function fakeStreaming(rings = Number.POSITIVE_INFINITY) {
  const sends: FakeSend[] = [];
  const send = (_command: readonly string[], listener: SendListener, skipBytes = 0): SendHandle => {
    if (sends.length >= rings) throw new RangeError("Array buffer allocation failed");
    const memory = createRingMemory(WINDOW);
    const writer = createRingWriter(memory);
    const reader = createRingReader(memory);
    let mayWrite = writer.hasRoom();
    const fake: FakeSend = {
      sent: skipBytes,
      isOver: false,
      isClosed: false,
      step: () => {
        if (fake.isOver || !mayWrite || fake.sent >= TOTAL) return false;
        const region = writer.region();
        const frame = STREAM.subarray(fake.sent, fake.sent + Math.min(FRAME, region.length));
        region.set(frame);
        fake.sent += frame.length;
        const mustTell = writer.commit(frame.length);
        mayWrite = writer.hasRoom();
        if (mustTell) listener.onBytes();
        return true;
      },
      end: (failure) => {
        if (fake.isOver) return;
        fake.isOver = true;
        listener.onEnd(failure);
      },
    };
    sends.push(fake);
    return {
      id: sends.length,
      poll: reader.poll,
      view: reader.view,
      release: (position) => {
        if (reader.release(position)) mayWrite = writer.hasRoom();
      },
      cancel: () => queueMicrotask(() => fake.end({ code: "service.interrupted", message: "cancelled" })),
      close: () => {
        expect([fake.isOver, fake.isClosed]).toEqual([true, false]);
        fake.isClosed = true;
        // As when the memory is used again.
        new Uint8Array(memory).fill(0xff);
      },
    };
  };
  const options = { send, windowBytes: WINDOW, prefixBytes: PREFIX, lagMs: LAG_MS };
  return { sends, shared: createSharedSends(options) };
}

interface Client {
  readonly received: number[];
  end: { readonly failure: Failure | undefined } | undefined;
  /** Whether it was told of bytes since it found none. */
  isAwake: boolean;
  /** What it could take. */
  waiting(): number;
  /** @returns how much there was */
  take(bytes?: number): number;
  close(): void;
}

/** A client that takes what it is told to. */
function connect(shared: SharedSends, key = "k"): Client {
  const received: number[] = [];
  const client: Client = {
    received,
    end: undefined,
    isAwake: false,
    waiting: () => send.available,
    take(bytes = Number.POSITIVE_INFINITY) {
      let left = Math.min(bytes, send.available);
      const taken = left;
      while (left > 0) {
        const piece = send.peek(Math.min(left, 70));
        expect(piece.length).toBeGreaterThan(0);
        received.push(...piece);
        left -= piece.length;
        send.take(piece.length);
      }
      client.isAwake = send.available > 0;
      return taken;
    },
    close: () => send.close(),
  };
  const send = shared.send(key, ["zfs", "send", key], {
    onBytes: () => {
      client.isAwake = true;
    },
    onEnd: (failure) => {
      expect(client.end).toBeUndefined();
      client.end = { failure };
    },
  });
  return client;
}

const whole = [...STREAM];

/** Lets every process give what it can and every client that is awake take all, until nothing moves. */
async function run(sends: readonly FakeSend[], clients: readonly Client[]) {
  for (let moved = true; moved; ) {
    moved = false;
    for (const each of sends) while (each.step()) moved = true;
    await turn();
    for (const each of clients) if (each.isAwake && each.take() > 0) moved = true;
  }
  for (const each of sends) if (each.sent >= TOTAL) each.end();
  for (const each of clients) each.close();
  await turn();
}

describe("downloads of one snapshot", () => {
  test("that start together share one send and get the same bytes", async () => {
    const { sends, shared } = fakeStreaming();
    const clients = Array.from({ length: 8 }, () => connect(shared));
    await turn();
    await run(sends, clients);
    expect(sends.length).toBe(1);
    for (const client of clients) {
      expect(client.received).toEqual(whole);
      expect(client.end).toEqual({ failure: undefined });
    }
  });

  test("share it also when one comes while the beginning is kept, and not later", async () => {
    const { sends, shared } = fakeStreaming();
    const first = connect(shared);
    while ((sends[0]?.sent ?? 0) < PREFIX - FRAME) {
      sends[0]?.step();
      first.take();
    }
    const second = connect(shared);
    await turn();
    expect(second.isAwake).toBe(true);
    second.take();
    expect(second.received).toEqual(first.received);
    while ((sends[0]?.sent ?? 0) <= PREFIX) sends[0]?.step();
    first.take();
    const third = connect(shared);
    await run(sends, [first, second, third]);
    expect(sends.length).toBe(2);
    for (const { received } of [first, second, third]) expect(received).toEqual(whole);
  });

  test("that of another snapshot has its own", async () => {
    const { sends, shared } = fakeStreaming();
    const clients = [connect(shared, "a"), connect(shared, "b")];
    await run(sends, clients);
    expect(sends.length).toBe(2);
  });

  test("go no faster than the slowest, by a window at most, until it gets its own process", async () => {
    const { sends, shared } = fakeStreaming();
    const [fast, slow] = [connect(shared), connect(shared)];
    await turn();
    for (let round = 0; round < 50; round++) {
      sends[0]?.step();
      fast.take();
    }
    expect(fast.received.length).toBeGreaterThan((WINDOW * 3) / 4);
    expect(fast.received.length).toBeLessThanOrEqual(WINDOW);
    expect(slow.waiting()).toBe(fast.received.length);
    await until("the slow one is parted from it", () => sends.length === 2);
    await run([sends[0] as FakeSend], [fast]);
    expect(fast.received).toEqual(whole);
    expect(slow.received).toEqual([]);
    await run(sends, [slow]);
    expect(slow.received).toEqual(whole);
    expect(slow.end).toEqual({ failure: undefined });
  });

  test("but if there is no memory for that, the slow one fails alone", async () => {
    const { sends, shared } = fakeStreaming(1);
    const [fast, slow] = [connect(shared), connect(shared)];
    await turn();
    for (let round = 0; round < 50; round++) {
      sends[0]?.step();
      fast.take();
    }
    await until("the slow one has failed", () => slow.end !== undefined);
    expect(slow.end).toMatchObject({ failure: { code: "internal" } });
    slow.close();
    await run(sends, [fast]);
    expect(fast.received).toEqual(whole);
    expect(fast.end).toEqual({ failure: undefined });
  });

  test("all fail when it fails", async () => {
    const { sends, shared } = fakeStreaming();
    const clients = [connect(shared), connect(shared)];
    await turn();
    sends[0]?.step();
    const failure: Failure = { code: "pool.unavailable", message: "gone" };
    sends[0]?.end(failure);
    for (const client of clients) expect(client.end).toEqual({ failure });
  });

  test("a client that goes away leaves the others alone, and the last one ends the process", async () => {
    const { sends, shared } = fakeStreaming();
    const [first, second] = [connect(shared), connect(shared)];
    await turn();
    sends[0]?.step();
    first.close();
    first.close();
    await turn();
    expect(first.end?.failure).toMatchObject({ code: "service.interrupted" });
    expect(sends[0]?.isOver).toBe(false);
    second.close();
    // Nobody may join what is being ended.
    const third = connect(shared);
    await turn();
    expect(sends[0]?.isOver).toBe(true);
    expect(second.end?.failure).toMatchObject({ code: "service.interrupted" });
    await run(sends, [third]);
    expect(third.received).toEqual(whole);
  });

  test("one that closes while the end of another is reported still gets its own end", () => {
    const { sends, shared } = fakeStreaming();
    const ends: string[] = [];
    const first = shared.send("k", ["zfs"], {
      onBytes: () => {},
      onEnd: () => {
        ends.push("first");
        second.close();
        first.close();
      },
    });
    const second = shared.send("k", ["zfs"], { onBytes: () => {}, onEnd: () => ends.push("second") });
    sends[0]?.end();
    expect(ends).toEqual(["first", "second"]);
    expect(sends.map((each) => each.isClosed)).toEqual([true]);
  });

  test("everybody gets every byte once, in order, whoever comes, takes and goes when", async () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant("connect" as const) }),
      fc.record({
        kind: fc.constant("step" as const),
        which: fc.nat(5),
        count: fc.integer({ min: 1, max: 30 }),
      }),
      fc.record({ kind: fc.constant("take" as const), which: fc.nat(9), bytes: fc.nat(900) }),
      fc.record({ kind: fc.constant("close" as const), which: fc.nat(9) }),
      fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(0, 0, 0, LAG_MS + 5) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 120 }), async (actions) => {
        const { sends, shared } = fakeStreaming();
        const clients: Client[] = [];
        const gone = new Set<unknown>();
        const pick = <T>(items: readonly T[], which: number) => items[which % Math.max(1, items.length)];
        for (const each of actions) {
          if (each.kind === "connect") clients.push(connect(shared));
          else if (each.kind === "step") {
            const send = pick(sends, each.which);
            for (let count = 0; count < each.count; count++) send?.step();
          } else if (each.kind === "wait") await (each.ms > 0 ? sleep(each.ms) : turn());
          else {
            const client = pick(clients, each.which);
            if (!client || gone.has(client)) continue;
            if (each.kind === "take") client.take(each.bytes);
            else {
              gone.add(client);
              client.close();
            }
          }
          for (const client of clients) {
            if (gone.has(client)) continue;
            expect(client.received).toEqual(whole.slice(0, client.received.length));
            // What one has not taken is bounded: the window, or the beginning before it.
            expect(client.waiting()).toBeLessThanOrEqual(WINDOW + PREFIX);
          }
        }
        await turn();
        const stayed = clients.filter((client) => !gone.has(client));
        await run(sends, stayed);
        for (const client of stayed) {
          expect(client.received).toEqual(whole);
          expect(client.end).toEqual({ failure: undefined });
        }
        for (const client of clients) expect(client.end).toBeDefined();
        for (const each of sends) expect([each.isOver, each.isClosed]).toEqual([true, true]);
      }),
      { numRuns: 200 },
    );
  });
});
