import { describe, expect, test } from "vitest";
import type { DatasetName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import { openOpenZfs } from "../../../../../src/workers/drivers/openzfs/openzfs-driver.js";
import type { RunCommand } from "../../../../../src/workers/processes/run-command.js";
import { createKindSlots, limitCommands } from "../../../../../src/workers/processes/slots.js";
import { OPENZFS_OPTIONS } from "../../../../support/openzfs-options.js";
import { until } from "../../../../support/until.js";

const COUNTS = { read: 8, hold: 4, change: 16, destroy: 8 };

/** A driver in whose commands of `verbs` run until `end` is called, and how many run of each verb. */
function slowPool(verbs: readonly string[]) {
  const running = new Map<string, number>();
  const ends: (() => void)[] = [];
  let most = 0;
  const run: RunCommand = async (argv) => {
    const verb = argv[1] ?? "";
    const count = (by: number) => running.set(verb, (running.get(verb) ?? 0) + by);
    count(1);
    most = Math.max(
      most,
      [...running.values()].reduce((sum, each) => sum + each, 0),
    );
    if (verbs.includes(verb)) await new Promise<void>((end) => ends.push(end));
    count(-1);
    const stdout = verb === "program" ? '{"return":{"1":"0"}}' : "";
    return { argv, stdout, stderr: "", exit: { kind: "exited", code: 0 }, ms: 1 };
  };
  const zfs = openOpenZfs(
    OPENZFS_OPTIONS,
    limitCommands(createKindSlots(COUNTS), run, () => {}),
  );
  const end = () => {
    for (const each of ends.splice(0)) each();
  };
  return { zfs, running, end, most: () => most };
}

const volume = (index: number) => `ut/v${index}` as DatasetName;
const snapshot = (index: number) => `ut/v${index}@s` as SnapshotName;
const many = <T>(count: number, start: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => start(index)));

/** Lets what waits in `ended` end: each round frees slots for the next. */
async function endAll(pool: ReturnType<typeof slowPool>, ended: Promise<unknown>): Promise<void> {
  let isDone = false;
  void ended.then(() => {
    isDone = true;
  });
  await until("all have ended", () => {
    pool.end();
    return isDone;
  });
}

describe("32 destroys that take their time", () => {
  test.each([
    [
      "recursive destroys",
      ["destroy"],
      (pool: ReturnType<typeof slowPool>) => many(32, (i) => pool.zfs.destroy(volume(i), true)),
    ],
    [
      "destroys of snapshots",
      ["destroy"],
      (pool: ReturnType<typeof slowPool>) => many(32, (i) => pool.zfs.destroy(snapshot(i), false)),
    ],
    [
      "rollbacks",
      ["rollback"],
      (pool: ReturnType<typeof slowPool>) => many(32, (i) => pool.zfs.rollback(snapshot(i), true)),
    ],
  ] as const)("delay no look-up, hold, release, list or new volume: %s", async (_what, verbs, start) => {
    const pool = slowPool(verbs);
    const destroyed = start(pool);
    await until("the slots are full", () => pool.running.get(verbs[0]) === COUNTS.destroy);
    await pool.zfs.find(volume(99));
    await pool.zfs.listVolumes();
    await pool.zfs.poolUsage();
    await pool.zfs.hold("t", snapshot(99));
    await pool.zfs.release("t", snapshot(99));
    await pool.zfs.createVolume(volume(99), bytes(1_048_576));
    await pool.zfs.snapshot(snapshot(99), false);
    expect(pool.running.get(verbs[0])).toBe(COUNTS.destroy);
    await endAll(pool, destroyed);
  });
});

test("slow holds delay no look-up, and slow lists no hold", async () => {
  const pool = slowPool(["hold", "list"]);
  const held = many(32, (index) => pool.zfs.hold("t", snapshot(index)));
  const listed = many(32, (index) => pool.zfs.snapshotsOf(volume(index)));
  await until("both run", () => pool.running.get("hold") === 4 && pool.running.get("list") === 8);
  await endAll(pool, Promise.all([held, listed]));
});

test("however much is asked for, no more commands run than the slots of all kinds", async () => {
  const pool = slowPool(["destroy", "list", "hold", "create"]);
  const all = Promise.all([
    many(64, (index) => pool.zfs.destroy(volume(index), false)),
    many(64, (index) => pool.zfs.snapshotsOf(volume(index))),
    many(64, (index) => pool.zfs.hold("t", snapshot(index))),
    many(64, (index) => pool.zfs.createVolume(volume(index), bytes(1_048_576))),
  ]);
  await until("the slots are full", () => pool.most() === 8 + 8 + 4 + 16);
  await endAll(pool, all);
  expect(pool.most()).toBe(36);
});
