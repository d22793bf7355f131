import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, PoolName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";
import type { OutsideChange } from "../../../../src/protocol/storage/outside-change.js";
import { createOwnChanges } from "../../../../src/workers/actor/own-changes.js";

const V = "tank/guests/g/v" as DatasetName;
const S = `${V}@s` as SnapshotName;
const snapshot: Operation = { op: "CreateSnapshot", dataset: V, snapshot: S, recursive: false };
const created = (id: string): OutsideChange[] => [{ topic: "snapshot", action: "created", id }];
const SECOND_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function open() {
  const told: OutsideChange[] = [];
  let missed = 0;
  const own = createOwnChanges(
    "tank" as PoolName,
    (change) => void told.push(change),
    () => void missed++,
  );
  /** Runs an operation until it is told its outcome. */
  const begin = (operation: Operation) => {
    let end: (outcome: Outcome<unknown>) => void = () => {};
    const outcome = new Promise<Outcome<unknown>>((resolve) => {
      end = resolve;
    });
    const done = own.run(operation, () => outcome);
    return async (ended: Outcome<unknown>) => {
      end(ended);
      await done;
    };
  };
  /** Whether a change is an operation's own that is made now, or was made so long ago. */
  const isOwn = (kind: string, name: string, changes: readonly OutsideChange[] = [], agoMs = 0) =>
    own.isOwn({ kind, name, changes, madeAt: performance.now() - agoMs });
  return { own, isOwn, told, begin, missed: () => missed };
}

test("a change while its operation runs is its own, and is told if the operation fails", async () => {
  const { isOwn, told, begin } = open();
  const end = begin(snapshot);
  expect(isOwn("snapshot", S, created(S))).toBe(true);
  expect(told).toEqual([]);
  await end(fail("command.failed", "it failed"));
  expect(told).toEqual([{ topic: "snapshot", action: "changed", id: S }]);
  expect(isOwn("snapshot", S, created(S))).toBe(false);
});

test("a change that comes after its operation has ended is its own, once", async () => {
  const { isOwn, told, begin } = open();
  await begin(snapshot)(succeed(null));
  expect(isOwn("snapshot", S, created(S))).toBe(true);
  expect(isOwn("snapshot", S, created(S))).toBe(false);
  expect(told).toEqual([]);
});

test("a change of another kind or name is another's", async () => {
  const { isOwn, begin } = open();
  await begin(snapshot)(succeed(null));
  expect(isOwn("rename", S)).toBe(false);
  await begin(snapshot)(succeed(null));
  expect(isOwn("snapshot", `${V}@other`)).toBe(false);
  expect(isOwn("snapshot", "tank/guests/g@s")).toBe(false);
  expect(isOwn("snapshot", `${V}/below@s`)).toBe(false);
});

test("a change is an operation's own however late it comes, but not if it was made after the operation", async () => {
  const { own, isOwn, begin } = open();
  const set: Operation = { op: "SetVolume", name: V, changes: {} };
  const end = begin(set);
  vi.advanceTimersByTime(60 * SECOND_MS);
  expect(isOwn("set", V)).toBe(true);
  await end(succeed(null));
  vi.advanceTimersByTime(100 * SECOND_MS);
  own.sweep(0);
  expect(isOwn("set", V, [], 10 * SECOND_MS)).toBe(false);
  expect(isOwn("set", V, [], 101 * SECOND_MS)).toBe(true);
  expect(isOwn("inherit", V, [], 100 * SECOND_MS)).toBe(true);
});

test("what an operation may have changed is claimed until all of that time has been seen", async () => {
  const { own, isOwn, begin } = open();
  const recursive: Operation = { ...snapshot, recursive: true };
  await begin(recursive)(succeed(null));
  const endedAt = performance.now();
  vi.advanceTimersByTime(100 * SECOND_MS);
  own.sweep(endedAt);
  expect(isOwn("snapshot", S, [], 100 * SECOND_MS)).toBe(true);
  own.sweep(endedAt + 2 * SECOND_MS);
  expect(isOwn("snapshot", S, [], 100 * SECOND_MS)).toBe(false);
});

test("another's change of a name ends what was claimed of it before", async () => {
  const { isOwn, begin } = open();
  // Its work was found done: nothing comes.
  await begin({ op: "CreateVolume", name: V, size: 0n as never })(succeed(null));
  expect(isOwn("destroy", V)).toBe(false);
  expect(isOwn("create", V)).toBe(false);
});

describe("what operations claim", () => {
  test.each<[Operation, kind: string, own: string[], others: string[]]>([
    [
      { op: "CreateVolume", name: V, size: 0n as never },
      "create",
      ["tank/guests", "tank/guests/g", V],
      ["tank", `${V}/w`, "tank/guests/h", S],
    ],
    [
      { op: "CreateSnapshot", dataset: V, snapshot: S, recursive: true },
      "snapshot",
      [`${V}/w@s`, S],
      [`${V}/w@t`, "tank/guests/g@s", `${V}w@s`],
    ],
    [{ op: "DeleteDataset", name: V }, "destroy", [`${V}/w@t`, `${V}/w`, S, V], ["tank/guests/g", `${V}w`]],
    [{ op: "DeleteDataset", name: S }, "destroy", [S], [V, `${V}@t`]],
    [{ op: "RollbackSnapshot", name: S, destroyMoreRecent: true }, "destroy", [`${V}@t`], [V, `${V}/w@t`]],
    [{ op: "RollbackSnapshot", name: S, destroyMoreRecent: true }, "rollback", [V], [`${V}/w`]],
    [{ op: "RenameVolume", name: V, target: "tank/x/y" as DatasetName }, "rename", [V], ["tank/x/y"]],
    [{ op: "RenameVolume", name: V, target: "tank/x/y" as DatasetName }, "create", ["tank/x"], ["tank/x/y"]],
    [{ op: "CloneSnapshot", name: S, target: "tank/c" as DatasetName }, "clone", ["tank/c"], [V]],
    [
      { op: "DeleteGuestsDisks", guest: { id: "g", disks: [] } as never },
      "destroy",
      [V, "tank/guests/g"],
      ["tank/guests"],
    ],
    [
      { op: "CreateGuestDisks", guest: { id: "g", disks: [] } as never },
      "create",
      ["tank/guests/g", V],
      ["tank/guests/h"],
    ],
    [{ op: "DeleteImage", id: "i" }, "destroy", ["tank/images/i@s", "tank/images/i"], ["tank/images/j"]],
  ])("%o: %s", async (operation, kind, names, others) => {
    const { isOwn, begin } = open();
    await begin(operation)(succeed(null));
    for (const name of names) expect([name, isOwn(kind, name)]).toEqual([name, true]);
    await begin(operation)(succeed(null));
    for (const name of others) expect([name, isOwn(kind, name)]).toEqual([name, false]);
  });
});

test("a deletion's own claim lasts until the dataset itself has gone, whatever it gave back before", async () => {
  const { isOwn, begin } = open();
  await begin({ op: "DeleteDataset", name: V })(succeed(null));
  expect(isOwn("set", V)).toBe(true);
  expect(isOwn("destroy", V)).toBe(true);
  expect(isOwn("destroy", V)).toBe(false);
});

test("a sure change that was not seen is told of once, unless newer ones were seen", async () => {
  const { own, isOwn, begin } = open();
  await begin(snapshot)(succeed(null));
  expect(own.sweep(0)).toBe(false);
  vi.advanceTimersByTime(9_000);
  expect(own.sweep(0)).toBe(true);
  vi.advanceTimersByTime(1_000);
  expect(own.sweep(0)).toBe(false);
  // It may still come.
  expect(isOwn("snapshot", S, [], 10_000)).toBe(true);
  await begin(snapshot)(succeed(null));
  vi.advanceTimersByTime(9_000);
  expect(own.sweep(performance.now())).toBe(false);
});

test("claims are bounded, and so is what is held for an operation", async () => {
  const { own, isOwn, told, begin, missed } = open();
  for (let index = 0; index < 10_001; index++) {
    const name = `${V}@n${index}` as SnapshotName;
    await begin({ op: "DeleteSnapshot", name, recursive: false })(succeed(null));
  }
  own.sweep(0);
  expect(isOwn("destroy", `${V}@n0`)).toBe(false);
  expect(isOwn("destroy", `${V}@n1`)).toBe(true);
  const end = begin({ op: "DeleteDataset", name: "tank/many" as DatasetName });
  for (let index = 0; index < 1_000; index++) {
    const id = `tank/many/${index}`;
    expect(isOwn("destroy", id, [{ topic: "volume", action: "deleted", id }])).toBe(true);
  }
  await end(fail("dataset.busy", "busy"));
  expect([told.length, missed()]).toEqual([0, 1]);
});
