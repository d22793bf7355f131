import { expect, test } from "vitest";
import { publishCall } from "../../../../src/main/events/call-events.js";
import type { Happening } from "../../../../src/main/events/event.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";

const call = {
  method: "M",
  pool: "tank",
  ms: 1,
  requestId: "r1",
  client: { peer: "p" },
  caller: "t1",
} as const;

/** What is told of a call: its topic, action and id. */
function told(operation: Operation | undefined, answer: unknown, code = "ok"): string[] {
  const all: Happening[] = [];
  publishCall({ ...call, operation, code }, answer, (each) => all.push(each));
  for (const { pool, caller, requestId } of all) {
    expect({ pool, caller, requestId }).toEqual({ pool: "tank", caller: "t1", requestId: "r1" });
  }
  return all.map(({ topic, action, id }) => `${topic} ${action} ${id}`);
}

const volume = "tank/guests/g/disk-0" as DatasetName;
const snapshot = "tank/guests/g/disk-0@s" as SnapshotName;
const guest = { id: "g", disks: [], rest: {} };
const createSnapshot = { op: "CreateSnapshot", dataset: volume, snapshot, recursive: false } as const;

test("each change is told by its topic, its action and a full name", () => {
  expect(told({ op: "DeleteImage", id: "golden" }, {})).toEqual(["image deleted tank/images/golden"]);
  const golden = { id: "golden" as ComponentId };
  expect(told({ op: "RestoreImage", ...golden }, golden)).toEqual(["image created tank/images/golden"]);
  expect(told({ op: "CreateGuestDisks", guest }, guest)).toEqual(["guest created tank/guests/g"]);
  expect(told({ op: "GetGuestQuota", name: volume }, {})).toEqual([]);
  const moving = { target: volume, peer: "p", source: "s", force: false };
  expect(told({ op: "DryRun", of: { op: "FinishMigration", ...moving } }, {})).toEqual([]);
  expect(told({ op: "CloneImage", id: "golden", target: volume }, {})).toEqual([`volume created ${volume}`]);
  expect(told({ op: "DeleteDataset", name: volume }, {})).toEqual([`volume deleted ${volume}`]);
  const pruning = { op: "PruneImages", olderThanSeconds: 1, unusedForSeconds: 0, type: "" } as const;
  expect(told(pruning, [{ id: "a" }, { id: "b" }])).toEqual([
    "image deleted tank/images/a",
    "image deleted tank/images/b",
  ]);
  expect(told(pruning, [])).toEqual([]);
  expect(told({ op: "DryRun", of: { op: "DeleteDataset", name: volume } }, {})).toEqual([]);
  expect(told({ op: "DeleteDataset", name: snapshot }, {})).toEqual([`snapshot deleted ${snapshot}`]);
  expect(told({ op: "RollbackSnapshot", name: snapshot, destroyMoreRecent: true }, {})).toEqual([
    `snapshot rolled-back ${snapshot}`,
  ]);
  const target = "tank/new" as DatasetName;
  expect(told({ op: "RenameVolume", name: volume, target }, {})).toEqual([
    `volume deleted ${volume}`,
    "volume created tank/new",
  ]);
  expect(told({ op: "CloneSnapshot", name: snapshot, target }, {})).toEqual(["volume created tank/new"]);
  expect(told({ op: "PromoteVolume", name: volume }, {})).toEqual([`volume changed ${volume}`]);
  expect(told({ op: "DeleteGuestsDisks", guest }, guest)).toEqual(["guest deleted tank/guests/g"]);
});

test("every dataset is named that the answer names, also one that is text already", () => {
  const names = ["tank/guests@s", "tank/guests/g@s"];
  const recursive = { op: "DeleteSnapshot", name: snapshot, recursive: true } as const;
  const want = names.map((name) => `snapshot deleted ${name}`);
  const text = JSON.stringify({ snapshots: names.map((id) => ({ id, size: 0 })) });
  expect(
    told(
      recursive,
      names.map((name) => ({ name })),
    ),
  ).toEqual(want);
  expect(told(recursive, Buffer.from(text))).toEqual(want);
  const ofGuest = { op: "SnapshotGuest", dataset: volume, snapshot } as const;
  expect(told(ofGuest, [{ name: "a@s" }, { name: "b@s" }])).toEqual([
    "snapshot created a@s",
    "snapshot created b@s",
  ]);
  expect(told({ op: "CreateGuestDisks", guest }, { ...guest, disks: [{ volume }] })).toEqual([
    "guest created tank/guests/g",
    `volume created ${volume}`,
  ]);
});

test("a change that was made is told although its answer could not be sent", () => {
  expect(told(createSnapshot, [{ name: snapshot }], "service.reply_too_large")).toEqual([
    `snapshot created ${snapshot}`,
  ]);
});

test("a failure is told as a change only if nobody knows whether it was made", () => {
  expect(told(createSnapshot, undefined, "dataset.exists")).toEqual([]);
  expect(told(createSnapshot, undefined, "command.timed_out")).toEqual([`snapshot changed ${snapshot}`]);
  expect(told(undefined, undefined, "internal")).toEqual([]);
});

test("reads, refusals and the holds of downloads are not told", () => {
  expect(told({ op: "GetPool" }, {})).toEqual([]);
  expect(told({ op: "VerifyDisks", guest }, guest)).toEqual([]);
  expect(told({ op: "GetVolume", name: volume }, undefined, "internal")).toEqual([]);
  expect(told({ op: "OpenSend", name: snapshot }, {})).toEqual([]);
});
