import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDownloadPump } from "../../../../src/main/downloads/download-pump.js";
import type { SendListener } from "../../../../src/main/downloads/streaming-handle.js";
import type { BodySource, HttpReply } from "../../../../src/protocol/http/transport.js";
import type { Failure } from "../../../../src/protocol/storage/failures.js";
import { turn, until } from "../../../support/until.js";

const PIECE = 100;
/** As the sink of uWebSockets.js, ours holds some bytes back until the end. */
const RESERVE = 10;
const STALLED_MS = 30;
const FAILURE: Failure = { code: "pool.unavailable", message: "the pool is gone" };
const GIVEN_UP: Failure = { code: "service.interrupted", message: "the download was given up" };
const STOPPING: Failure = { code: "service.stopping", message: "imagestore is stopping" };
const CLIENT_GONE = expect.objectContaining({
  code: "service.interrupted",
  message: expect.stringContaining("the client went"),
});
const STALLED = expect.objectContaining({
  code: "service.interrupted",
  message: expect.stringMatching(/^the client took nothing for \d+ ms/),
});

interface Setup {
  /** How many bytes the client takes before it blocks. */
  readonly room?: number;
  readonly isDisconnected?: boolean;
  readonly stalledReaderMs?: number;
  /** As uWebSockets.js has it, a reset is a disconnect at once; with node:http it comes later. */
  readonly resetDisconnects?: boolean;
}

/** A pump between a send and a client that do only what they are made to do. */
function setUp(setup: Setup = {}) {
  const { resetDisconnects = true, stalledReaderMs = 60_000 } = setup;
  const steps = new Set<() => number>();
  const disconnectListeners: (() => void)[] = [];
  let room = setup.room ?? Number.POSITIVE_INFINITY;
  let onReady = () => {};
  let onFlushed: (() => void) | undefined;
  let body: BodySource | undefined;
  let listener: SendListener | undefined;
  const seen = {
    /** Bytes that the send has given so far. */
    arrived: 0,
    /** Bytes that went to the client. */
    written: 0,
    /** Bytes that were counted. */
    counted: 0,
    statusLines: 0,
    isEndCalled: false,
    resets: 0,
    refusals: [] as Failure[],
    isSendClosed: false,
    isDisconnected: setup.isDisconnected ?? false,
    outcomes: [] as (Failure | undefined)[],
  };

  const disconnect = () => {
    if (seen.isDisconnected) return;
    seen.isDisconnected = true;
    for (const each of disconnectListeners) each();
  };
  const write = (source: BodySource, bytes: number): number => {
    const { length } = source.peek(bytes);
    source.take(length);
    return length;
  };
  const reply: HttpReply = {
    requestId: "r",
    peer: "",
    get isDisconnected() {
      return seen.isDisconnected;
    },
    onDisconnect: (each) => disconnectListeners.push(each),
    onEnd: () => expect.unreachable("only whole replies end"),
    send: () => expect.unreachable("a pump sends no whole reply by itself"),
    stream: (status, _headers, source, ready) => {
      expect([status, seen.refusals]).toEqual([200, []]);
      seen.statusLines++;
      body = source;
      onReady = ready;
      return {
        get isBlocked() {
          return room <= 0;
        },
        pump: () => {
          const bytes = Math.min(PIECE, source.available - RESERVE);
          if (room <= 0 || seen.isDisconnected || bytes <= 0) return 0;
          room -= bytes;
          return write(source, bytes);
        },
        end: (flushed) => {
          expect(seen.isEndCalled).toBe(false);
          seen.isEndCalled = true;
          write(source, RESERVE);
          expect(source.available).toBe(0);
          onFlushed = flushed;
        },
        reset: () => {
          if (seen.isDisconnected) return;
          seen.resets++;
          if (resetDisconnects) disconnect();
        },
      };
    },
  };
  const pump = createDownloadPump({
    headers: [],
    reply,
    stalledReaderMs,
    scheduler: { add: (step) => void steps.add(step) },
    openSend: (each) => {
      listener = each;
      return {
        sendId: 1,
        get available() {
          return seen.arrived - seen.written;
        },
        peek: (limit) => new Uint8Array(Math.min(limit, seen.arrived - seen.written)),
        take: (bytes) => {
          // Its memory belongs to others by now.
          expect(seen.isSendClosed).toBe(false);
          seen.written += bytes;
        },
        close: () => {
          seen.isSendClosed = true;
        },
      };
    },
    refuse: (failure) => {
      if (seen.isDisconnected) return;
      expect(seen.statusLines).toBe(0);
      seen.refusals.push(failure);
    },
    onBytes: (bytes) => {
      seen.counted += bytes;
    },
  });
  void pump.ended.then((failure) => seen.outcomes.push(failure));

  return {
    seen,
    cancel: () => pump.cancel(STOPPING),
    disconnect,
    /** Bytes arrive; nothing is written before `run`. */
    arrive: (bytes: number) => {
      seen.arrived += bytes;
      listener?.onBytes();
    },
    endSend: (failure?: Failure) => listener?.onEnd(failure),
    /** Runs the scheduler until nothing moves. */
    run: () => {
      for (const step of steps) {
        steps.delete(step);
        if (step() > 0) steps.add(step);
      }
    },
    /** The client takes more. */
    makeRoom: (bytes: number) => {
      const wasBlocked = room <= 0;
      room = bytes;
      if (wasBlocked) onReady();
    },
    /** The sink writes a single byte, so that the connection is kept. */
    drip: () => {
      if (body) write(body, 1);
    },
    /** The last byte has left; does nothing before the end of the reply. */
    flush: () => {
      onFlushed?.();
      onFlushed = undefined;
    },
    /** The outcomes so far: one at most. */
    outcomes: async () => {
      await turn();
      return seen.outcomes;
    },
  };
}

describe("a download that nothing disturbs", () => {
  test("writes the status line with the first byte and ends when the last one has left", async () => {
    const { seen, arrive, run, endSend, flush, outcomes } = setUp();
    run();
    expect(seen.statusLines).toBe(0);
    arrive(1_000);
    run();
    expect(seen).toMatchObject({ statusLines: 1, written: 1_000 - RESERVE, counted: 1_000 - RESERVE });
    endSend();
    expect(seen.isEndCalled).toBe(false);
    run();
    expect(seen).toMatchObject({ isEndCalled: true, written: 1_000, counted: 1_000, isSendClosed: false });
    expect(await outcomes()).toEqual([]);
    flush();
    expect(await outcomes()).toEqual([undefined]);
    expect(seen).toMatchObject({ isSendClosed: true, resets: 0, refusals: [] });
  });

  test("counts the single bytes that keep a connection too, to its end or where it is cut", async () => {
    const [whole, cut] = [setUp({ room: 100 }), setUp({ room: 100 })];
    for (const { arrive, run, drip } of [whole, cut]) {
      arrive(500);
      run();
      for (let drips = 0; drips < 5; drips++) drip();
    }
    whole.makeRoom(1_000);
    whole.run();
    expect(whole.seen).toMatchObject({ written: 490, counted: 490 });
    whole.drip();
    whole.endSend();
    whole.run();
    expect(whole.seen).toMatchObject({ written: 500, counted: 500 });
    expect(cut.seen.counted).toBe(100);
    cut.disconnect();
    cut.endSend();
    await cut.outcomes();
    expect(cut.seen).toMatchObject({ written: 105, counted: 105 });
  });

  test("may be complete before its first step", async () => {
    const { seen, arrive, run, endSend, flush, outcomes } = setUp();
    arrive(500);
    endSend();
    expect(seen.statusLines).toBe(0);
    run();
    flush();
    expect(seen).toMatchObject({ statusLines: 1, written: 500, counted: 500 });
    expect(await outcomes()).toEqual([undefined]);
  });

  test("may have no byte at all", async () => {
    const { seen, run, endSend, flush, outcomes } = setUp();
    endSend();
    run();
    expect(seen).toMatchObject({ statusLines: 1, isEndCalled: true });
    flush();
    expect(await outcomes()).toEqual([undefined]);
  });

  test("goes on when its client takes more, also after the send has ended", async () => {
    const { seen, arrive, run, endSend, makeRoom, flush, outcomes } = setUp({ room: 200 });
    arrive(1_000);
    run();
    expect(seen.written).toBe(200);
    makeRoom(300);
    run();
    expect(seen.written).toBe(500);
    endSend();
    run();
    expect(seen.isEndCalled).toBe(false);
    makeRoom(1_000);
    run();
    flush();
    expect(seen.written).toBe(1_000);
    expect(await outcomes()).toEqual([undefined]);
  });
});

describe("a send that fails", () => {
  test("before the first byte is refused cleanly", async () => {
    const { seen, endSend, run, outcomes } = setUp();
    endSend(FAILURE);
    run();
    expect(await outcomes()).toEqual([FAILURE]);
    expect(seen).toMatchObject({ refusals: [FAILURE], statusLines: 0, isSendClosed: true });
  });

  test("with bytes that no step has written is refused cleanly too", async () => {
    const { seen, arrive, endSend, run, outcomes } = setUp();
    arrive(1_000);
    endSend(FAILURE);
    run();
    expect(await outcomes()).toEqual([FAILURE]);
    expect(seen).toMatchObject({ refusals: [FAILURE], statusLines: 0, written: 0 });
  });

  test.each([
    ["a disconnect at once", true],
    ["none before it has ended", false],
  ])("after the first byte resets the connection, where that is %s", async (_what, atOnce) => {
    const { seen, arrive, endSend, run, outcomes } = setUp({ resetDisconnects: atOnce });
    arrive(1_000);
    run();
    arrive(1_000);
    endSend(FAILURE);
    run();
    expect(await outcomes()).toEqual([FAILURE]);
    expect(seen).toMatchObject({ resets: 1, refusals: [], written: 1_000 - RESERVE, isEndCalled: false });
  });

  test("resets a client that is blocked", async () => {
    const { seen, arrive, endSend, run, outcomes } = setUp({ room: 100, resetDisconnects: false });
    arrive(1_000);
    run();
    endSend(FAILURE);
    expect(await outcomes()).toEqual([FAILURE]);
    expect(seen.resets).toBe(1);
  });
});

describe("a client that disconnects", () => {
  test.each([0, 1_000])(
    "before a step wrote any of %i bytes: the send is closed and waited for",
    async (bytes) => {
      const { seen, arrive, disconnect, endSend, run, outcomes } = setUp();
      if (bytes > 0) arrive(bytes);
      disconnect();
      run();
      expect(seen).toMatchObject({ isSendClosed: true, statusLines: 0 });
      expect(await outcomes()).toEqual([]);
      endSend(GIVEN_UP);
      expect(await outcomes()).toEqual([CLIENT_GONE]);
      expect(seen).toMatchObject({ refusals: [], resets: 0 });
    },
  );

  test("before the pump is there ends it in the same way", async () => {
    const { seen, endSend, outcomes } = setUp({ isDisconnected: true });
    expect(seen.isSendClosed).toBe(true);
    expect(await outcomes()).toEqual([]);
    endSend(GIVEN_UP);
    expect(await outcomes()).toEqual([CLIENT_GONE]);
  });

  test("within the stream ends it when the send has ended, though that succeeded", async () => {
    const { seen, arrive, disconnect, endSend, run, outcomes } = setUp();
    arrive(1_000);
    run();
    disconnect();
    arrive(1_000);
    run();
    expect(await outcomes()).toEqual([]);
    endSend();
    run();
    expect(await outcomes()).toEqual([CLIENT_GONE]);
    expect(seen).toMatchObject({ written: 1_000 - RESERVE, isEndCalled: false, isSendClosed: true });
  });

  test("when the send has ended and bytes are left ends it at once", async () => {
    const { seen, arrive, disconnect, endSend, run, outcomes } = setUp({ room: 100 });
    arrive(1_000);
    run();
    endSend();
    disconnect();
    run();
    expect(await outcomes()).toEqual([CLIENT_GONE]);
    expect(seen).toMatchObject({ written: 100, isEndCalled: false, isSendClosed: true });
  });

  test("while the last bytes leave ends it at once", async () => {
    const { seen, arrive, disconnect, endSend, run, flush, outcomes } = setUp();
    arrive(1_000);
    endSend();
    run();
    expect(seen.isEndCalled).toBe(true);
    disconnect();
    flush();
    expect(await outcomes()).toEqual([CLIENT_GONE]);
  });

  test("after the end changes nothing", async () => {
    const { seen, arrive, disconnect, cancel, endSend, run, flush, outcomes } = setUp();
    arrive(1_000);
    endSend();
    run();
    flush();
    disconnect();
    cancel();
    run();
    expect(await outcomes()).toEqual([undefined]);
    expect(seen.resets).toBe(0);
  });
});

describe("a download that is cancelled", () => {
  test.each([
    ["is killed", GIVEN_UP],
    ["succeeds after all", undefined],
  ])("before the first byte is refused once its send %s", async (_how, failure) => {
    const { seen, arrive, cancel, endSend, run, outcomes } = setUp();
    arrive(1_000);
    cancel();
    run();
    expect(await outcomes()).toEqual([]);
    expect(seen).toMatchObject({ isSendClosed: true, refusals: [], statusLines: 0 });
    endSend(failure);
    run();
    expect(await outcomes()).toEqual([STOPPING]);
    expect(seen).toMatchObject({ refusals: [STOPPING], statusLines: 0, resets: 0 });
  });

  test.each([true, false])("within the stream is reset at once and waits (at once: %s)", async (atOnce) => {
    const { seen, arrive, cancel, disconnect, endSend, run, outcomes } = setUp({ resetDisconnects: atOnce });
    arrive(1_000);
    run();
    cancel();
    expect(seen).toMatchObject({ resets: 1, isSendClosed: true });
    arrive(1_000);
    run();
    expect(seen.written).toBe(1_000 - RESERVE);
    expect(await outcomes()).toEqual([]);
    disconnect();
    endSend();
    expect(await outcomes()).toEqual([STOPPING]);
  });

  test("between the end of its send and the first step is refused, and no byte is written", async () => {
    const { seen, arrive, cancel, endSend, run, outcomes } = setUp();
    arrive(1_000);
    endSend();
    cancel();
    run();
    expect(await outcomes()).toEqual([STOPPING]);
    expect(seen).toMatchObject({ refusals: [STOPPING], statusLines: 0, isSendClosed: true });
  });

  test("while the last bytes leave is reset", async () => {
    const { seen, arrive, cancel, endSend, run, outcomes } = setUp();
    arrive(1_000);
    endSend();
    run();
    cancel();
    cancel();
    expect(await outcomes()).toEqual([STOPPING]);
    expect(seen.resets).toBe(1);
  });
});

describe("a reader that takes nothing", () => {
  test("is cut off after its time, before the send's end", async () => {
    const { seen, arrive, endSend, run, outcomes } = setUp({ room: 100, stalledReaderMs: STALLED_MS });
    arrive(1_000);
    run();
    await until("it is cut off", () => seen.resets === 1);
    expect(seen.isSendClosed).toBe(true);
    endSend();
    expect(await outcomes()).toEqual([STALLED]);
  });

  test.each([
    ["while bytes are left", 100],
    ["while the last bytes leave", 10_000],
  ])("is cut off after its time, %s after the send's end", async (_when, room) => {
    const { seen, arrive, endSend, run, outcomes } = setUp({ room, stalledReaderMs: STALLED_MS });
    arrive(1_000);
    endSend();
    run();
    await until("it is cut off", () => seen.resets === 1);
    expect(await outcomes()).toEqual([STALLED]);
  });

  test("gets its whole time again whenever it takes something", async () => {
    const { seen, arrive, endSend, run, makeRoom, flush, outcomes } = setUp({
      room: 100,
      stalledReaderMs: 10 * STALLED_MS,
    });
    arrive(1_000);
    run();
    for (let round = 0; round < 4; round++) {
      await sleep(4 * STALLED_MS);
      makeRoom(100);
      run();
    }
    expect([seen.resets, seen.written]).toEqual([0, 500]);
    endSend();
    makeRoom(1_000);
    run();
    flush();
    expect(await outcomes()).toEqual([undefined]);
  });
});

test("whatever happens in whatever order, a download ends once, after its send, and never half", async () => {
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.constant("arrive" as const) },
    { weight: 4, arbitrary: fc.constant("run" as const) },
    { weight: 2, arbitrary: fc.constant("makeRoom" as const) },
    ...(["disconnect", "cancel", "succeed", "fail", "flush"] as const).map((each) => ({
      weight: 1,
      arbitrary: fc.constant(each),
    })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 30 }), fc.boolean(), async (events, resetDisconnects) => {
      const rig = setUp({ room: 250, resetDisconnects });
      const { seen } = rig;
      let hasSendEnded = false;
      const endSend = (failure?: Failure) => {
        if (!hasSendEnded) rig.endSend(failure);
        hasSendEnded = true;
      };
      const actions = {
        arrive: () => !hasSendEnded && rig.arrive(150),
        run: () => rig.run(),
        makeRoom: () => rig.makeRoom(250),
        disconnect: () => rig.disconnect(),
        cancel: () => rig.cancel(),
        succeed: () => endSend(),
        fail: () => endSend(FAILURE),
        flush: () => rig.flush(),
      };
      for (const each of events) {
        actions[each]();
        // Its process may run as long as the send has not ended.
        if ((await rig.outcomes()).length > 0) expect(hasSendEnded).toBe(true);
      }
      endSend();
      for (let round = 0; round < 30; round++) {
        rig.makeRoom(250);
        rig.run();
      }
      rig.flush();
      const [failure, ...others] = await rig.outcomes();
      expect([seen.outcomes.length, others, seen.isSendClosed]).toEqual([1, [], true]);
      if (failure) {
        // The client has a clean error or a cut connection.
        expect(seen.isDisconnected || seen.resets > 0 || seen.refusals.length === 1).toBe(true);
        expect(seen.refusals.length > 0 && seen.statusLines > 0).toBe(false);
      } else {
        expect(seen).toMatchObject({ written: seen.arrived, counted: seen.arrived, isEndCalled: true });
        expect([seen.statusLines, seen.resets, seen.refusals]).toEqual([1, 0, []]);
      }
    }),
    { numRuns: 500 },
  );
});
