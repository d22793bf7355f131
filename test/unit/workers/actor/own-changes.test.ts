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
  return { own, told, begin, missed: () => missed };
}

test("a change while its operation runs is its own, and is told if the operation fails", async () => {
  const { own, told, begin } = open();
  const end = begin(snapshot);
  expect(own.isOwn("snapshot", S, created(S))).toBe(true);
  expect(told).toEqual([]);
  await end(fail("command.failed", "it failed"));
  expect(told).toEqual([{ topic: "snapshot", action: "changed", id: S }]);
  expect(own.isOwn("snapshot", S, created(S))).toBe(false);
});

test("a change that comes after its operation has ended is its own, once", async () => {
  const { own, told, begin } = open();
  await begin(snapshot)(succeed(null));
  expect(own.isOwn("snapshot", S, created(S))).toBe(true);
  expect(own.isOwn("snapshot", S, created(S))).toBe(false);
  expect(told).toEqual([]);
});

test("a change of another kind or name, or long after, is another's", async () => {
  const { own, begin } = open();
  await begin(snapshot)(succeed(null));
  expect(own.isOwn("rename", S, [])).toBe(false);
  await begin(snapshot)(succeed(null));
  expect(own.isOwn("snapshot", `${V}@other`, [])).toBe(false);
  expect(own.isOwn("snapshot", "tank/guests/g@s", [])).toBe(false);
  expect(own.isOwn("snapshot", `${V}/below@s`, [])).toBe(false);
  vi.advanceTimersByTime(31_000);
  own.sweep();
  expect(own.isOwn("snapshot", S, [])).toBe(false);
});

test("another's change of a name ends what was claimed of it before", async () => {
  const { own, begin } = open();
  // Its work was found done: nothing comes.
  await begin({ op: "CreateVolume", name: V, size: 0n as never })(succeed(null));
  expect(own.isOwn("destroy", V, [])).toBe(false);
  expect(own.isOwn("create", V, [])).toBe(false);
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
    const { own, begin } = open();
    await begin(operation)(succeed(null));
    for (const name of names) expect([name, own.isOwn(kind, name, [])]).toEqual([name, true]);
    await begin(operation)(succeed(null));
    for (const name of others) expect([name, own.isOwn(kind, name, [])]).toEqual([name, false]);
  });
});

test("a deletion's own claim lasts until the dataset itself has gone, whatever it gave back before", async () => {
  const { own, begin } = open();
  await begin({ op: "DeleteDataset", name: V })(succeed(null));
  expect(own.isOwn("set", V, [])).toBe(true);
  expect(own.isOwn("destroy", V, [])).toBe(true);
  expect(own.isOwn("destroy", V, [])).toBe(false);
});

test("a sure change that was not seen is told of once", async () => {
  const { own, begin } = open();
  await begin(snapshot)(succeed(null));
  expect(own.sweep()).toBe(false);
  vi.advanceTimersByTime(9_000);
  expect(own.sweep()).toBe(true);
  vi.advanceTimersByTime(1_000);
  expect(own.sweep()).toBe(false);
  // It may still come.
  expect(own.isOwn("snapshot", S, [])).toBe(true);
});

test("claims are bounded, and so is what is held for an operation", async () => {
  const { own, told, begin, missed } = open();
  for (let index = 0; index < 10_001; index++) {
    const name = `${V}@n${index}` as SnapshotName;
    await begin({ op: "DeleteSnapshot", name, recursive: false })(succeed(null));
  }
  own.sweep();
  expect(own.isOwn("destroy", `${V}@n0`, [])).toBe(false);
  expect(own.isOwn("destroy", `${V}@n1`, [])).toBe(true);
  const end = begin({ op: "DeleteDataset", name: "tank/many" as DatasetName });
  for (let index = 0; index < 1_000; index++) {
    const id = `tank/many/${index}`;
    expect(own.isOwn("destroy", id, [{ topic: "volume", action: "deleted", id }])).toBe(true);
  }
  await end(fail("dataset.busy", "busy"));
  expect([told.length, missed()]).toEqual([0, 1]);
});
