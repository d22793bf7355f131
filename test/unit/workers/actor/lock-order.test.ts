import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { createDatasetLocks, type LockRequest } from "../../../../src/workers/actor/dataset-locks.js";
import { turn } from "../../../support/until.js";

type Order = NonNullable<Parameters<typeof createDatasetLocks>[1]>;

/** As the requests come: what the locks would do without an order of their own. */
const unsorted: Order = (steps) => steps;

const one = (name: string): LockRequest => ({ name: name as DatasetName, mode: "one" });

/** Turns of the event loop after which a schedule that has not ended never will. */
const MOST_TURNS = 200;

/** Asks for all locks at once, and holds each for a turn. @returns whether some are never granted. */
async function stops(schedule: readonly (readonly LockRequest[])[], order?: Order): Promise<boolean> {
  const locks = createDatasetLocks(undefined, order);
  let left = schedule.length;
  for (const requests of schedule) void locks.with(requests, turn).then(() => left--);
  for (let turns = 0; left > 0 && turns < MOST_TURNS; turns++) await turn();
  if (left === 0) expect(locks.size).toBe(0);
  return left > 0;
}

const request: fc.Arbitrary<LockRequest> = fc.record({
  name: fc
    .constantFrom("t", "t/images", "t/images/i", "t/guests", "t/guests/g", "t/v")
    .map((text) => text as DatasetName),
  mode: fc.constantFrom("keep", "part", "one", "tree"),
});
const schedules = fc.sample(
  fc.array(fc.array(request, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 8 }),
  { numRuns: 1_000, seed: 1 },
);

describe("the order of locks", () => {
  test("two that want the same two in turn end, and would not without the order", async () => {
    const crossed = [
      [one("t/a"), one("t/b")],
      [one("t/b"), one("t/a")],
    ];
    expect(await stops(crossed)).toBe(false);
    expect(await stops(crossed, unsorted)).toBe(true);
  });

  test("a tree and what is below it end, and would not without the order", async () => {
    const crossed: LockRequest[][] = [
      [one("t/guests/g"), { name: "t/images" as DatasetName, mode: "tree" }],
      [one("t/images/i"), { name: "t/guests" as DatasetName, mode: "tree" }],
    ];
    expect(await stops(crossed)).toBe(false);
    expect(await stops(crossed, unsorted)).toBe(true);
  });

  test("of 1,000 random schedules none stops, and many would without the order", async () => {
    let stopped = 0;
    let unsortedStopped = 0;
    for (const schedule of schedules) {
      if (await stops(schedule)) stopped++;
      if (await stops(schedule, unsorted)) unsortedStopped++;
    }
    expect(stopped).toBe(0);
    expect(unsortedStopped).toBeGreaterThan(50);
  });
});
