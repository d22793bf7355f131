import { describe, expect, test } from "vitest";
import type { BulkReply, BulkSendListener } from "../../../../src/main/downloads/bulk-handle.js";
import { createBulkPump } from "../../../../src/main/downloads/bulk-pump.js";
import { type Failure, fail, failed } from "../../../../src/protocol/storage/failures.js";
import type { BulkEnd } from "../../../../src/protocol/threads/bulk-contract.js";
import { silentReply } from "../../../support/silent-reply.js";

function create() {
  const counted: number[] = [];
  const refused: Failure[] = [];
  let cancelled = 0;
  let listener: BulkSendListener | undefined;
  const reply: BulkReply = {
    ...silentReply,
    handOver: (_stream, given) => {
      listener = given;
      return { id: 7, cancel: () => void cancelled++ };
    },
  };
  const pump = createBulkPump({
    reply,
    command: ["zfs", "send"],
    headers: [],
    stalledReaderMs: 700,
    refuse: (failure) => void refused.push(failure),
    onBytes: (bytes) => void counted.push(bytes),
  });
  if (!listener) throw new Error("the pump has begun nothing");
  return { pump, counted, refused, cancelled: () => cancelled, told: listener };
}

const progress = { queued: 0, waitsForClient: false, stillMs: 0 };

describe("a bulk download", () => {
  test("goes from phase to phase, and counts what its command has written, once", async () => {
    const { pump, counted, told } = create();
    const phase = () => pump.state().phase;
    expect(phase()).toBe("waiting");
    told.onBegun();
    expect(phase()).toBe("streaming");
    told.onProgress({ ...progress, written: 5 });
    told.onProgress({ ...progress, written: undefined });
    told.onProgress({ ...progress, written: 5, queued: 3, waitsForClient: true });
    expect(pump.state()).toEqual({ phase: "streaming", isBlocked: true, waitingBytes: 3, sendId: 7 });
    expect(pump.waitsSince).toBeUndefined();
    told.onProgress({ ...progress, written: 8, stillMs: 10_000 });
    expect(performance.now() - (pump.waitsSince ?? 0)).toBeGreaterThanOrEqual(10_000);
    expect(pump.length).toBeUndefined();
    told.onWritten(8);
    expect(phase()).toBe("flushing");
    expect(pump.length).toBe(8);
    told.onEnd({ kind: "complete" }, true, 9);
    expect(await pump.ended).toBeUndefined();
    expect(counted).toEqual([5, 3, 1]);
    expect(phase()).toBe("ended");
  });

  const ends: readonly (readonly [BulkEnd, RegExp])[] = [
    [{ kind: "gone" }, /^the client went before/],
    [{ kind: "stalled" }, /^the client took nothing for 700 ms \(timeouts\.stalledReaderMs\)$/],
    [{ kind: "failed", failure: fail("command.failed", "it broke").failure }, /^it broke$/],
  ];
  test.each(ends)(
    "that ends as %j says why, and is refused only where nothing has begun",
    async (end, why) => {
      for (const hasBegun of [true, false]) {
        const { pump, refused, told } = create();
        told.onEnd(end, hasBegun, undefined);
        const failure = await pump.ended;
        expect(failure?.message).toMatch(why);
        expect(refused).toEqual(hasBegun ? [] : [failure]);
      }
    },
  );

  test("that is cancelled ends with the reason of that, when its command has ended", async () => {
    const { pump, cancelled, told } = create();
    told.onBegun();
    pump.cancel(failed.stopping.failure);
    pump.cancel(failed.notFound.failure);
    expect([pump.state().phase, cancelled()]).toEqual(["cancelling", 1]);
    expect(pump.waitsSince).toBeDefined();
    told.onEnd({ kind: "gone" }, true, undefined);
    expect(await pump.ended).toBe(failed.stopping.failure);
    pump.cancel(failed.notFound.failure);
    expect(cancelled()).toBe(1);
  });
});
