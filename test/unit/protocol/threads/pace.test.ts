import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { createPace, createPaceMemory, joinPaces, type Pace } from "../../../../src/protocol/threads/pace.js";

const MIB = 1024 * 1024;

/** Takes pieces for so long as told. @returns bytes a second. */
async function run(pace: Pace, pieceBytes: number, ms: number): Promise<number> {
  const startedAt = performance.now();
  let bytes = 0;
  while (performance.now() - startedAt < ms) {
    const waitMs = pace.waitMs();
    if (waitMs > 0) await sleep(waitMs);
    pace.take(pieceBytes);
    bytes += pieceBytes;
  }
  // The last piece is not due before this.
  await sleep(pace.waitMs());
  return bytes / ((performance.now() - startedAt) / 1000);
}

describe("a pace", () => {
  test.each([
    [MIB, 16_384],
    [64 * MIB, 65_536],
    [256 * MIB, 65_536],
  ])("holds %i bytes a second in pieces of %i within a twentieth", async (rate, pieceBytes) => {
    const measured = await run(createPace(rate), pieceBytes, 1_500);
    expect(Math.abs(measured / rate - 1)).toBeLessThan(0.05);
  });

  test("is held together by all who take of it, also in other threads", async () => {
    const memory = createPaceMemory();
    const pace = createPace(8 * MIB, memory);
    const rates = await Promise.all([
      run(pace, 16_384, 1_500),
      run(createPace(8 * MIB, memory), 65_536, 1_500),
    ]);
    expect(Math.abs((rates[0] ?? 0) + (rates[1] ?? 0) - 8 * MIB) / (8 * MIB)).toBeLessThan(0.05);
    const before = pace.waitMs();
    const script = `const { workerData: m } = require("node:worker_threads");
      Atomics.add(new BigInt64Array(m), 0, 5_000_000_000n);`;
    const worker = new Worker(script, { eval: true, workerData: memory });
    await new Promise((resolve) => worker.once("exit", resolve));
    expect(pace.waitMs()).toBeGreaterThan(before + 3_000);
  });

  test("makes nothing of an idle time but what a late timer may have lost", async () => {
    const pace = createPace(MIB);
    await sleep(1_100);
    expect(pace.waitMs()).toBe(0);
    pace.take(MIB);
    expect(pace.waitMs()).toBeGreaterThan(450);
    expect(pace.waitMs()).toBeLessThanOrEqual(500);
  });

  test("of several is the slowest, of none is none", () => {
    expect(joinPaces([undefined, undefined])).toBeUndefined();
    const one = createPace(MIB);
    expect(joinPaces([undefined, one])).toBe(one);
    joinPaces([createPace(1024 * MIB), one])?.take(MIB);
    expect(one.waitMs()).toBeGreaterThan(900);
  });
});
