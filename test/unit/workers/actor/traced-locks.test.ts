import { expect, test } from "vitest";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { createDatasetLocks } from "../../../../src/workers/actor/dataset-locks.js";
import { tracedLocks } from "../../../../src/workers/actor/traced-locks.js";

test("locks without a trace are the same locks", () => {
  const locks = createDatasetLocks();
  expect(tracedLocks(undefined, locks)).toBe(locks);
});

test("the wait for a lock, its hold and its release are points, also when the work fails", async () => {
  const points: string[] = [];
  const locks = tracedLocks((point) => points.push(point), createDatasetLocks());
  const name = "tank/a" as DatasetName;
  const worked = locks.with([{ name, mode: "one" }], async () => {
    points.push("work");
    return locks.size;
  });
  expect(points).toEqual(["locks.wait"]);
  expect(await worked).toBeGreaterThan(0);
  expect(points).toEqual(["locks.wait", "locks.held", "work", "locks.released"]);
  const failing = locks.with([{ name, mode: "tree" }], async () => {
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect(points.slice(4)).toEqual(["locks.wait", "locks.held", "locks.released"]);
  expect(locks.size).toBe(0);
});
