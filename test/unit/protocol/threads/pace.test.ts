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
    bytes += pieceBytes;
    const waitMs = pace.take(pieceBytes);
    if (waitMs > 0) await sleep(waitMs);
  }
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
    const before = pace.take(MIB);
    const script = `const { workerData: m } = require("node:worker_threads");
      Atomics.add(new BigInt64Array(m), 0, 5_000_000_000n);`;
    const worker = new Worker(script, { eval: true, workerData: memory });
    await new Promise((resolve) => worker.once("exit", resolve));
    expect(pace.take(1)).toBeGreaterThan(before + 3_000);
  });

  test("gives each who takes as much as the others, though all wait at once", async () => {
    const pace = createPace(8 * MIB);
    const rates = await Promise.all([1, 2, 3, 4].map(() => run(pace, 65_536, 2_000)));
    for (const rate of rates) expect(Math.abs(rate / (2 * MIB) - 1)).toBeLessThan(0.1);
  });

  test("gives nothing in advance, and of an idle time what a late timer may have lost", async () => {
    const pace = createPace(MIB);
    await sleep(600);
    expect(pace.take(MIB)).toBe(1_000);
    await sleep(2_100);
    const waitMs = pace.take(MIB);
    expect(waitMs).toBeGreaterThan(450);
    expect(waitMs).toBeLessThanOrEqual(500);
  });

  test("of several is the slowest, of none is none", () => {
    expect(joinPaces([undefined, undefined])).toBeUndefined();
    const one = createPace(MIB);
    expect(joinPaces([undefined, one])).toBe(one);
    expect(joinPaces([createPace(1024 * MIB), one])?.take(MIB)).toBe(1_000);
  });
});
