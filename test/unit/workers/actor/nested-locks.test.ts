import { AsyncLocalStorage } from "node:async_hooks";
import { expect, test } from "vitest";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import type { ComponentId, DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { createDatasetLocks } from "../../../../src/workers/actor/dataset-locks.js";
import { createMemoryActor, createMemoryRecords, POOL } from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { mustSucceed as must } from "../../../support/outcomes.js";

const MIB = 1_048_576;
const dataset = (name: string) => name as DatasetName;
const snapshot = (name: string) => name as SnapshotName;

/**
 * For createDatasetLocks: throws where locks are taken while others are held. In a file of its
 * own, because AsyncLocalStorage makes every promise of a process slower.
 */
function refuseNesting() {
  const holding = new AsyncLocalStorage<true>();
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (holding.getStore()) throw new Error("locks are taken inside of locks");
    return holding.run(true, work);
  };
}

test("a lock that is taken inside of another one is seen", async () => {
  const locks = createDatasetLocks(refuseNesting());
  const nested = locks.with([{ name: dataset("tank/a"), mode: "one" }], () =>
    locks.with([{ name: dataset("tank/b"), mode: "one" }], async () => {}),
  );
  await expect(nested).rejects.toThrow("locks are taken inside of locks");
  expect(locks.size).toBe(0);
});

test("no operation takes locks while it holds some", async () => {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 50n));
  for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
  const fetched: string[] = [];
  const { handlers, locks } = createMemoryActor(
    zfs,
    createMemoryRecords(),
    async ({ url }) => {
      fetched.push(url);
      const target = dataset(`tank/images/.partial-${url.split("/").at(-2)}`);
      zfs.receive(target, { type: "volume", size: bytes(8 * MIB), snapshots: ["s"] }, {});
      return succeed({ receivedBytes: 1, streamBytes: 1 });
    },
    refuseNesting(),
  );
  const disk = { bus: "", device: "", size: bytes(MIB), volume: "", image: "", source: "" };
  const guest = { id: "g", disks: [disk, { ...disk, image: "i" }], rest: {} };
  const v = dataset("tank/v");
  await must(handlers.RequestImage({ id: "i" as ComponentId, type: "", source: "" }));
  await must(handlers.CloneImage({ id: "i", target: dataset("tank/clone") }));
  await must(handlers.CreateVolume({ name: v, size: bytes(MIB) }));
  await must(handlers.CreateSnapshot({ dataset: v, snapshot: snapshot("tank/v@1"), recursive: false }));
  await must(
    handlers.CreateSnapshot({ dataset: dataset("tank"), snapshot: snapshot("tank@r"), recursive: true }),
  );
  const loose = { name: dataset("tank/clone"), target: dataset("tank/deep/clone") };
  await must(handlers.RenameVolume(loose));
  await must(handlers.RenameVolume({ name: loose.target, target: loose.name }));
  await must(handlers.ResizeVolume({ name: loose.name, size: bytes(2n ** 30n), allowDataLoss: false }));
  const copied = dataset("tank/copied");
  await must(handlers.CloneSnapshot({ name: snapshot("tank/v@1"), target: copied }));
  await must(handlers.PromoteVolume({ name: copied }));
  await must(handlers.PromoteVolume({ name: dataset("tank/v") }));
  await must(handlers.DeleteDataset({ name: copied }));
  await must(handlers.RollbackSnapshot({ name: snapshot("tank/v@1"), destroyMoreRecent: true }));
  await must(handlers.DeleteSnapshot({ name: snapshot("tank/v@1"), recursive: false }));
  await must(handlers.DeleteSnapshot({ name: snapshot("tank@r"), recursive: true }));
  await must(handlers.CreateGuestDisks({ guest }));
  await must(handlers.DeleteGuestsDisks({ guest }));
  await must(handlers.DeleteDataset({ name: dataset("tank/clone") }));
  await must(handlers.DeleteImage({ id: "i" }));
  expect(fetched).toHaveLength(1);
  expect(locks.size).toBe(0);
});
