import { expect, test } from "vitest";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { reconcile } from "../../../../src/workers/actor/reconcile.js";
import {
  createKeptLog,
  createMemoryActor,
  createMemoryRecords,
  POOL,
} from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const SIZE = bytes(1_048_576);
const id = "golden" as ComponentId;
const volume = `${POOL}/images/golden` as DatasetName;
const snapshot = `${volume}@v1` as SnapshotName;
const clone = `${POOL}/guests/g/disk-0` as DatasetName;

/** An actor with an image in the trash, which has one clone. */
async function withTrash() {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["images", "guests", "guests/g"]) zfs.put(`${POOL}/${name}`);
  zfs.put(volume, { type: "volume", volsize: SIZE, imageType: "kvm" });
  zfs.put(snapshot, { volsize: SIZE });
  zfs.put(clone, { type: "volume", volsize: SIZE, origin: snapshot });
  const records = createMemoryRecords([
    { id, type: "kvm", volume, snapshot, size: SIZE, status: "complete" },
  ]);
  const actor = createMemoryActor(zfs, records, async () => succeed({ receivedBytes: 0, streamBytes: 0 }));
  expect(await actor.handlers.DeleteImage({ id, whenInUse: "trash" })).toMatchObject({ ok: true });
  const [trashed = ""] = [...actor.trash];
  return { ...actor, trashed: trashed as DatasetName };
}

test("a rename whose end is not clear counts if it was made", async () => {
  const { zfs, trashed, handlers, records, trash } = await withTrash();
  await zfs.rename(trashed, volume);
  trash.clear();
  await records.putImage({ id, type: "kvm", volume, snapshot, size: SIZE, status: "complete" });
  const rename = zfs.rename;
  zfs.rename = async (from, to) => {
    await rename(from, to);
    return fail("command.timed_out", "no end");
  };
  expect(await handlers.DeleteImage({ id, whenInUse: "trash" })).toMatchObject({ ok: true });
  expect([...trash]).toEqual([trashed]);
  expect(records.images.size).toBe(0);
});

test("a mark or a rename that fails leaves the image as it was", async () => {
  const { zfs, trashed, handlers, records, trash } = await withTrash();
  await zfs.rename(trashed, volume);
  trash.clear();
  await records.putImage({ id, type: "kvm", volume, snapshot, size: SIZE, status: "complete" });
  for (const broken of ["mark", "rename"]) {
    zfs.intercept = (call) => (call === broken ? fail("pool.unavailable", "suspended") : undefined);
    expect(await handlers.DeleteImage({ id, whenInUse: "trash" })).toMatchObject({
      failure: { code: "pool.unavailable" },
    });
    expect(zfs.has(snapshot)).toBe(true);
    expect([...records.images.keys()]).toEqual([id]);
    expect(trash.size).toBe(0);
  }
});

test("each way to lose the last clone empties the trash", async () => {
  const ways: Record<string, (actor: Awaited<ReturnType<typeof withTrash>>) => Promise<unknown>> = {
    DeleteDataset: ({ handlers }) => handlers.DeleteDataset({ name: clone }),
    DeleteGuestsDisks: ({ handlers }) =>
      handlers.DeleteGuestsDisks({ guest: { id: "g", disks: [], rest: {} } }),
    PromoteVolume: ({ handlers }) => handlers.PromoteVolume({ name: clone }),
  };
  for (const [way, lose] of Object.entries(ways)) {
    const actor = await withTrash();
    expect(actor.zfs.has(actor.trashed), way).toBe(true);
    expect(await lose(actor), way).toMatchObject({ ok: true });
    expect(actor.zfs.has(actor.trashed), way).toBe(false);
    expect(actor.trash.size, way).toBe(0);
  }
});

test("one that is held stays, and goes when the download that holds it ends", async () => {
  const { handlers, zfs, trash, trashed } = await withTrash();
  const held = `${trashed}@v1` as SnapshotName;
  const ticket = await handlers.OpenSend({ name: held });
  if (!ticket.ok) throw new Error(ticket.failure.message);
  await handlers.DeleteDataset({ name: clone });
  expect(zfs.has(held)).toBe(true);
  await handlers.CloseSend({ name: held, tag: ticket.value.tag });
  expect(zfs.has(trashed)).toBe(false);
  expect(trash.size).toBe(0);
});

test("what can't be destroyed for another reason is told, and tried again at the next deletion", async () => {
  const { handlers, zfs, trash, trashed, log } = await withTrash();
  zfs.intercept = (call, name) =>
    call === "destroy" && name === trashed ? fail("dataset.busy", "open") : undefined;
  expect(await handlers.DeleteDataset({ name: clone })).toMatchObject({ ok: true });
  expect([...trash]).toEqual([trashed]);
  expect(log.lines.filter(({ level }) => level === "warn")).toMatchObject([{ fields: { volume: trashed } }]);
  zfs.intercept = () => undefined;
  await handlers.DeleteGuestsDisks({ guest: { id: "none", disks: [], rest: {} } });
  expect(zfs.has(trashed)).toBe(false);
});

test("a start keeps what has clones and destroys what has none; it touches nothing without both signs", async () => {
  const { zfs, trashed } = await withTrash();
  const plain = `${POOL}/images/.trash-1` as DatasetName;
  const marked = `${POOL}/images/marked` as DatasetName;
  zfs.put(plain, { type: "volume", volsize: SIZE });
  zfs.put(marked, { type: "volume", volsize: SIZE, trashMark: "marked" });
  const start = async () => {
    const trash = new Set<DatasetName>();
    const report = await reconcile({
      ...{ pool: POOL, zfs, records: createMemoryRecords(), log: createKeptLog(), liveTags: [], trash },
      ...{ originalDatabase: undefined, releaseLater: () => {}, runId: "run" },
    });
    return { removed: report.ok && report.value.trashRemoved, trash: [...trash] };
  };
  expect(await start()).toEqual({ removed: [], trash: [trashed] });
  await zfs.destroy(clone, false);
  expect(await start()).toEqual({ removed: [trashed], trash: [] });
  expect([plain, marked].map((name) => zfs.has(name))).toEqual([true, true]);
});

test("an image that is back from the trash is the origin again of what builds on it", async () => {
  const { zfs, trashed, handlers, records } = await withTrash();
  const layer = `${POOL}/images/layer` as DatasetName;
  const ofLayer = `${layer}@v2` as SnapshotName;
  zfs.put(layer, { type: "volume", volsize: SIZE, origin: `${trashed}@v1` as SnapshotName });
  zfs.put(ofLayer, { volsize: SIZE });
  const about = { type: "kvm", size: SIZE, status: "complete" } as const;
  await records.putImage({ ...about, id: "layer", volume: layer, snapshot: ofLayer });
  const rename = zfs.rename;
  zfs.rename = async (from, to) => {
    await rename(from, to);
    return fail("command.timed_out", "no end");
  };
  expect(await handlers.RestoreImage({ id })).toMatchObject({ ok: true, value: { id, volume, snapshot } });
  expect(records.images.get("layer")).toMatchObject({ origin: snapshot });
  expect(await handlers.RestoreImage({ id })).toMatchObject({ failure: { code: "image.not_found" } });
});

test("a restore that fails leaves the image in the trash", async () => {
  const { zfs, trashed, handlers, records, trash } = await withTrash();
  for (const broken of ["listImages", "find", "snapshotsOf", "rename"]) {
    zfs.intercept = (call) => (call === broken ? fail("pool.unavailable", "suspended") : undefined);
    const outcome = await handlers.RestoreImage({ id });
    expect([broken, outcome]).toMatchObject([broken, { failure: { code: "pool.unavailable" } }]);
  }
  expect([[...trash], records.images.size, zfs.has(trashed)]).toEqual([[trashed], 0, true]);
});
