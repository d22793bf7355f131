import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSharedSends, type SharedSends } from "../../src/main/shared-sends.js";
import type { SendHandle, SendListener } from "../../src/main/streaming.js";
import type { Failure } from "../../src/protocol/failures.js";
import { turn, until } from "../support/until.js";

const WINDOW = 100;
const RING = 200;
const FRAME = 10;
const TOTAL = 1_000;
const LAG_MS = 20;

/** The bytes of the stream: each tells where it stands. */
const STREAM = Uint8Array.from({ length: TOTAL }, (_, index) => index % 251);

/** A process that gives the stream, a frame at a time, as far as it has credit. */
interface FakeSend {
  credit: number;
  sent: number;
  isOver: boolean;
  /** @returns whether it could give one. */
  step(): boolean;
  end(failure?: Failure): void;
}

function fakeStreaming() {
  const sends: FakeSend[] = [];
  const send = (
    _command: readonly string[],
    credit: number,
    listener: SendListener,
    skipBytes = 0,
  ): SendHandle => {
    const fake: FakeSend = {
      credit,
      sent: skipBytes,
      isOver: false,
      step: () => {
        if (fake.isOver || fake.credit <= 0 || fake.sent >= TOTAL) return false;
        const frame = STREAM.slice(fake.sent, fake.sent + FRAME);
        fake.sent += frame.length;
        fake.credit -= frame.length;
        listener.onFrame(frame);
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
      credit: (bytes) => {
        fake.credit += bytes;
      },
      cancel: () => queueMicrotask(() => fake.end({ code: "service.interrupted", message: "cancelled" })),
    };
  };
  return { sends, shared: createSharedSends({ send, windowBytes: WINDOW, ringBytes: RING, lagMs: LAG_MS }) };
}

interface Client {
  readonly received: number[];
  taken: number;
  end: { readonly failure: Failure | undefined } | undefined;
  take(bytes?: number): void;
  cancel(): void;
}

/** A client that takes what it is told to. */
function connect(shared: SharedSends, key = "k"): Client {
  const received: number[] = [];
  const client: Client = {
    received,
    taken: 0,
    end: undefined,
    take(bytes = received.length - client.taken) {
      client.taken += bytes;
      handle.credit(bytes);
    },
    cancel: () => handle.cancel(),
  };
  const handle = shared.send(key, ["zfs", "send", key], {
    onFrame: (frame) => received.push(...frame),
    onEnd: (failure) => {
      expect(client.end).toBeUndefined();
      client.end = { failure };
    },
  });
  return client;
}

const whole = [...STREAM];

/** Lets every process give what it can and every client take all, until nothing moves. */
async function run(sends: readonly FakeSend[], clients: readonly Client[]) {
  for (let moved = true; moved; ) {
    moved = false;
    for (const each of sends) while (each.step()) moved = true;
    for (const each of clients) {
      if (each.taken < each.received.length) {
        each.take();
        moved = true;
      }
    }
    await turn();
  }
  for (const each of sends) if (each.sent >= TOTAL) each.end();
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
    while (first.received.length < RING) {
      sends[0]?.step();
      first.take();
    }
    const second = connect(shared);
    await turn();
    expect(second.received).toEqual(whole.slice(0, RING));
    second.take();
    sends[0]?.step();
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
    expect(fast.received.length).toBe(WINDOW);
    expect(slow.received.length).toBe(WINDOW);
    await until("the slow one is parted from it", () => sends.length === 2);
    await run([sends[0] as FakeSend], [fast]);
    expect(fast.received).toEqual(whole);
    expect(slow.received.length).toBe(WINDOW);
    await run(sends, [slow]);
    expect(slow.received).toEqual(whole);
    expect(slow.end).toEqual({ failure: undefined });
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
    first.cancel();
    first.cancel();
    await turn();
    expect(first.end?.failure).toMatchObject({ code: "service.interrupted" });
    expect(sends[0]?.isOver).toBe(false);
    second.cancel();
    // Nobody may join what is being ended.
    const third = connect(shared);
    await turn();
    expect(sends[0]?.isOver).toBe(true);
    expect(second.end?.failure).toMatchObject({ code: "service.interrupted" });
    await run(sends, [third]);
    expect(third.received).toEqual(whole);
  });

  test("everybody gets every byte once, in order, whoever comes, takes and goes when", async () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant("connect" as const) }),
      fc.record({ kind: fc.constant("step" as const), which: fc.nat(5) }),
      fc.record({ kind: fc.constant("take" as const), which: fc.nat(9), bytes: fc.nat(60) }),
      fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(9) }),
      fc.record({ kind: fc.constant("wait" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 120 }), async (actions) => {
        const { sends, shared } = fakeStreaming();
        const clients: Client[] = [];
        const gone = new Set<unknown>();
        const pick = <T>(items: readonly T[], which: number) => items[which % Math.max(1, items.length)];
        for (const each of actions) {
          if (each.kind === "connect") clients.push(connect(shared));
          else if (each.kind === "step") pick(sends, each.which)?.step();
          else if (each.kind === "wait") await turn();
          else {
            const client = pick(clients, each.which);
            if (!client || gone.has(client)) continue;
            if (each.kind === "take")
              client.take(Math.min(each.bytes, client.received.length - client.taken));
            else {
              gone.add(client);
              client.cancel();
            }
          }
          for (const client of clients) {
            expect(client.received).toEqual(whole.slice(0, client.received.length));
            // What one has not taken is bounded: the window, or the beginning that it has just got.
            expect(client.received.length - client.taken).toBeLessThanOrEqual(
              Math.max(WINDOW, RING) + 2 * FRAME,
            );
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
        for (const each of sends) expect(each.isOver).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
