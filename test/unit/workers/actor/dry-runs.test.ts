import { expect, test } from "vitest";
import { fail, succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { DestroyingOperation } from "../../../../src/protocol/storage/operations.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createMemoryActor, createMemoryRecords, POOL } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";

const SIZE = bytes(1_048_576);
const volume = `${POOL}/guests/g/disk-0` as DatasetName;
const snapshot = `${volume}@s` as SnapshotName;
const image = { id: "golden" as ComponentId, volume: `${POOL}/images/golden` as DatasetName };

/** A pool with a guest's disk and an image, whose driver refuses every change from then on. */
function openFrozen() {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["images", "guests", "guests/g"]) zfs.put(`${POOL}/${name}`);
  for (const name of [volume, image.volume]) zfs.put(name, { type: "volume", volsize: SIZE });
  for (const name of [snapshot, `${image.volume}@v1`]) zfs.put(name, { volsize: SIZE });
  zfs.put(`${volume}@t`, { volsize: SIZE });
  const records = createMemoryRecords([
    { ...image, type: "", snapshot: `${image.volume}@v1` as SnapshotName, size: SIZE, status: "complete" },
  ]);
  const actor = createMemoryActor(zfs, records, async () => succeed({ receivedBytes: 0, streamBytes: 0 }));
  const isLook = /^(?:find|list|snapshotsOf|settingsOf|isReadonly)/;
  zfs.intercept = (call) => (isLook.test(call) ? undefined : fail("internal", `a dry run called ${call}`));
  return { ...actor, state: () => ({ pool: zfs.state(), images: [...records.images.keys()] }) };
}

const guest = { id: "g", disks: [], rest: {} };
const CASES: readonly (readonly [DestroyingOperation, readonly string[]])[] = [
  [{ op: "DeleteImage", id: "golden" }, [image.volume, `${image.volume}@v1`]],
  [{ op: "DeleteDataset", name: volume }, [volume, snapshot, `${volume}@t`]],
  [{ op: "DeleteDataset", name: snapshot }, [snapshot]],
  [{ op: "DeleteSnapshot", name: snapshot, recursive: false }, [snapshot]],
  [{ op: "DeleteSnapshot", name: snapshot, recursive: true }, [snapshot]],
  [{ op: "RollbackSnapshot", name: snapshot, destroyMoreRecent: true }, [`${volume}@t`]],
  [{ op: "DeleteGuestsDisks", guest }, [`${POOL}/guests/g`, volume, snapshot, `${volume}@t`]],
];

test.each(CASES)(
  "a dry run of %o names what goes, and calls nothing that changes the pool",
  async (of, names) => {
    const { handlers, state } = openFrozen();
    const before = state();
    const tried = await handlers.DryRun({ of });
    expect(tried).toMatchObject({ ok: true });
    expect(tried.ok && tried.value.destroys.map(({ name }) => name).sort()).toEqual([...names].sort());
    expect(state()).toEqual(before);
  },
);

test("a dry run waits for the locks that the call would wait for", async () => {
  const { handlers, locks } = openFrozen();
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const holder = locks.with([{ name: volume, mode: "keep" }], () => held);
  let isDone = false;
  const trying = handlers.DryRun({ of: { op: "DeleteDataset", name: volume } }).then((outcome) => {
    isDone = true;
    return outcome;
  });
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  expect(isDone).toBe(false);
  release();
  await holder;
  expect(await trying).toMatchObject({ ok: true });
});

test("a dry run of what is held or has clones fails as the call does", async () => {
  const { handlers, zfs } = openFrozen();
  const of = { op: "DeleteDataset", name: volume } as const;
  zfs.intercept = () => undefined;
  await zfs.hold("imagestore:x", snapshot);
  const held = await handlers.DryRun({ of });
  expect(held).toMatchObject({ failure: { code: "snapshot.held" } });
  expect(held).toEqual(await handlers.DeleteDataset(of));
  await zfs.clone(snapshot, `${POOL}/clone` as DatasetName);
  const cloned = await handlers.DryRun({ of });
  expect(cloned).toMatchObject({ failure: { code: "dataset.has_clones" } });
  expect(cloned).toEqual(await handlers.DeleteDataset(of));
});
