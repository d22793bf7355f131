import { describe, expect, test } from "vitest";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import { bookmarkOf, type DatasetName, type SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createMemoryActor, createMemoryRecords, POOL } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const volume = "tank/v" as DatasetName;
const [a, b] = ["tank/v@a", "tank/v@b"] as SnapshotName[] as [SnapshotName, SnapshotName];

async function start() {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  const actor = createMemoryActor(zfs, createMemoryRecords([]), async () => fail("image.unreachable", ""));
  await zfs.createVolume(volume, bytes(8n * 1_048_576n));
  for (const name of [a, b]) await zfs.snapshot(name, false);
  return actor;
}

async function openFrom(actor: Awaited<ReturnType<typeof start>>, terms: { from: SnapshotName }) {
  const opened = await actor.handlers.OpenSend({ name: b, terms });
  if (!opened.ok) throw new Error(opened.failure.message);
  return opened.value;
}

describe("an incremental send", () => {
  test("holds its base too, and each hold is released by itself", async () => {
    const actor = await start();
    const { tag, baseHolds = [], command } = await openFrom(actor, { from: a });
    expect(command).toEqual(["send", "-i", a, b]);
    expect(actor.zfs.holdsOf(b)).toEqual([tag]);
    expect(baseHolds).toEqual([{ name: a, tag: actor.zfs.holdsOf(a)[0] }]);
    const refused = await actor.handlers.DeleteSnapshot({ name: a, recursive: false });
    expect(refused).toMatchObject({ ok: false, failure: { code: "snapshot.held" } });
    for (const held of [{ name: b, tag }, ...baseHolds]) {
      expect(await actor.handlers.CloseSend(held)).toEqual(succeed(null));
    }
    expect([...actor.zfs.holdsOf(a), ...actor.zfs.holdsOf(b)]).toEqual([]);
    expect(await actor.records.holds()).toEqual([]);
  });

  test("leaves no hold where its base can't be held", async () => {
    const actor = await start();
    actor.zfs.intercept = (call, name) =>
      call === "hold" && name === a ? fail("dataset.busy", "busy") : undefined;
    const refused = await actor.handlers.OpenSend({ name: b, terms: { from: a } });
    expect(refused).toMatchObject({ failure: { code: "dataset.busy" } });
    expect(actor.zfs.holdsOf(b)).toEqual([]);
    expect([await actor.records.holds(), actor.unreleased]).toEqual([[], []]);
  });

  test("whose first hold can't be released then has it released later", async () => {
    const actor = await start();
    actor.zfs.intercept = (call, name) =>
      (call === "hold" && name === a) || call === "release" ? fail("dataset.busy", "busy") : undefined;
    expect((await actor.handlers.OpenSend({ name: b, terms: { from: a } })).ok).toBe(false);
    expect(actor.unreleased).toMatchObject([{ name: b, tag: actor.zfs.holdsOf(b)[0] }]);
  });

  test("of equal ends shares a send with others, one of other ends or of several snapshots does not", async () => {
    const actor = await start();
    const plain = await actor.handlers.OpenSend({ name: b });
    const [one, other] = [await openFrom(actor, { from: a }), await openFrom(actor, { from: a })];
    expect([one.tag, one.kind]).toEqual([other.tag, other.kind]);
    expect(plain.ok && [plain.value.tag, plain.value.kind]).toEqual([one.tag, undefined]);
    expect(one.kind).toBeTypeOf("string");
    const all = await openFrom(actor, { from: a, ...{ intermediates: true } });
    expect(all.kind).toBeNull();
  });

  test("from a bookmark needs no hold of it", async () => {
    const actor = await start();
    const mark = bookmarkOf(volume, "m");
    if (!mark.ok) throw new Error("no bookmark");
    await actor.zfs.bookmark(a, mark.value);
    const opened = await actor.handlers.OpenSend({ name: b, terms: { from: mark.value } });
    expect(opened).toMatchObject({ ok: true, value: { baseHolds: [] } });
    expect(actor.zfs.holdsOf(a)).toEqual([]);
  });

  test.each([
    ["tank/v@none", "dataset.not_found", "from: tank/v@none is not found"],
    ["tank/v@b", "request.invalid", "from: tank/v@b is not older than tank/v@a"],
  ])("from %s is refused, and nothing is held", async (from, code, message) => {
    const actor = await start();
    const refused = await actor.handlers.OpenSend({ name: a, terms: { from: from as SnapshotName } });
    expect(refused).toMatchObject({ ok: false, failure: { code, message } });
    expect([...actor.zfs.holdsOf(a), ...actor.zfs.holdsOf(b)]).toEqual([]);
  });
});
