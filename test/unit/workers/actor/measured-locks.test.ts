import { expect, test } from "vitest";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { createDatasetLocks, type LockMode } from "../../../../src/workers/actor/dataset-locks.js";
import { measuredLocks } from "../../../../src/workers/actor/measured-locks.js";
import { turn } from "../../../support/until.js";

test("each wait for locks is told once, when it ends, by the strongest mode", async () => {
  const told: [LockMode, number][] = [];
  const locks = measuredLocks(createDatasetLocks(), (mode, ms) => void told.push([mode, ms]));
  const [a, b] = ["tank/a", "tank/b"] as DatasetName[] as [DatasetName, DatasetName];
  let release = () => {};
  const first = locks.with(
    [
      { name: a, mode: "tree" },
      { name: b, mode: "keep" },
    ],
    () => new Promise<void>((resolve) => (release = resolve)),
  );
  await turn();
  expect(told).toEqual([["tree", expect.any(Number)]]);
  const second = locks.with([{ name: a, mode: "one" }], async () => {});
  await turn();
  expect(told.length).toBe(1);
  const since = performance.now();
  release();
  await Promise.all([first, second]);
  expect(told[1]?.[0]).toBe("one");
  expect(told[1]?.[1]).toBeGreaterThan(0);
  expect(told[1]?.[1]).toBeLessThan(performance.now() - since + 60_000);
  expect(locks.size).toBe(0);
});
