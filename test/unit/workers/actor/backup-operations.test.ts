import { describe, expect, test } from "vitest";
import { succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import {
  createMemoryActor,
  createMemoryRecords,
  type MemoryActor,
  POOL,
} from "../../../support/memory-actor.js";
import { createMemoryZfs } from "../../../support/memory-zfs.js";
import { mustSucceed as must } from "../../../support/outcomes.js";

const SIZE = bytes(1_048_576);
const volume = `${POOL}/v` as DatasetName;
const named = (tag: string) => `${volume}@${tag}` as SnapshotName;
const target = `${POOL}/new` as DatasetName;

function createPool(): MemoryActor {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 40n));
  for (const name of ["images", "guests"]) zfs.put(`${POOL}/${name}`);
  zfs.put(volume, { type: "volume", volsize: SIZE });
  return createMemoryActor(zfs, createMemoryRecords(), async () =>
    succeed({ receivedBytes: 0, streamBytes: 0 }),
  );
}

const backUp = ({ handlers }: MemoryActor, tag: string, full = false) =>
  must(handlers.BackupSnapshot({ name: named(tag), profile: "store", full }));
const marksOf = async ({ handlers }: MemoryActor) =>
  (await must(handlers.ListBookmarks({ root: volume }))).map(({ name }) => name);
/** What the sends of the last upload were from. */
const sentFrom = ({ store }: MemoryActor) => {
  const upload = store.orders.filter((order) => order.task === "upload").at(-1);
  return upload?.task === "upload" ? upload.command.slice(1, -1) : undefined;
};

describe("what a backup builds on", () => {
  test("the newest snapshot that has a backup, and its bookmark once it is gone", async () => {
    const actor = createPool();
    for (const tag of ["a", "b"]) actor.zfs.put(named(tag), { volsize: SIZE });
    expect((await backUp(actor, "a")).why).toBe("first");
    expect((await backUp(actor, "b")).why).toBe("increment");
    expect(sentFrom(actor)).toEqual(["-i", named("a")]);
    await must(actor.handlers.DeleteSnapshot({ name: named("b"), recursive: false }));
    actor.zfs.put(named("c"), { volsize: SIZE });
    expect((await backUp(actor, "c")).why).toBe("increment");
    // The snapshot a has a backup too, but that of b is newer.
    expect(sentFrom(actor)).toEqual(["-i", expect.stringContaining(`${volume}#imagestore-backup-store-`)]);
    expect(await marksOf(actor)).toHaveLength(1);
  });

  test("a backup of an older snapshot builds on one before that, and leaves the newer bookmark", async () => {
    const actor = createPool();
    for (const tag of ["a", "b", "c"]) actor.zfs.put(named(tag), { volsize: SIZE });
    await backUp(actor, "a");
    await backUp(actor, "c");
    const a = await must(actor.zfs.find(named("a")));
    expect((await backUp(actor, "b")).backup.from).toBe(a?.guid);
    await must(actor.handlers.DeleteSnapshot({ name: named("c"), recursive: false }));
    actor.zfs.put(named("d"), { volsize: SIZE });
    expect((await backUp(actor, "d")).why).toBe("increment");
  });

  test("nothing: where the manifest of the base is damaged, and where neither snapshot nor bookmark is left", async () => {
    const actor = createPool();
    for (const tag of ["a", "b"]) actor.zfs.put(named(tag), { volsize: SIZE });
    const { backup } = await backUp(actor, "a");
    const read = actor.store.run;
    actor.store.run = async (order) =>
      order.task === "read" ? succeed({ task: "read", value: order.ids.map(() => null) }) : read(order);
    const made = await backUp(actor, "b");
    expect([made.why, made.backup.from, made.warnings.length]).toEqual(["baseLost", null, 1]);
    expect(made.backup.id).not.toBe(backup.id);
  });

  test("all holds of a backup are released, whether it ends well or not", async () => {
    const actor = createPool();
    for (const tag of ["a", "b"]) actor.zfs.put(named(tag), { volsize: SIZE });
    await backUp(actor, "a");
    const { run } = actor.store;
    actor.store.run = async (order) => {
      if (order.task !== "upload") return run(order);
      expect(actor.zfs.holdsOf(named("a"))).toHaveLength(1);
      expect(actor.zfs.holdsOf(named("b"))).toHaveLength(1);
      throw new Error("the thread is gone");
    };
    const ended = await actor.handlers.BackupSnapshot({ name: named("b"), profile: "store", full: false });
    expect(ended).toMatchObject({ ok: false, failure: { code: "internal" } });
    expect([actor.zfs.holdsOf(named("a")), actor.zfs.holdsOf(named("b"))]).toEqual([[], []]);
  });
});

describe("who may know of a backup", () => {
  const sights = [
    [{ names: ["guests/**"] }, false],
    [{ pools: ["other"] }, false],
    [{ names: ["v"], pools: [POOL] }, true],
    [{}, true],
  ] as const;

  test.each(sights)("with %j: %s", async (sight, isSeen) => {
    const actor = createPool();
    actor.zfs.put(named("a"), { volsize: SIZE });
    const { backup } = await backUp(actor, "a");
    actor.store.onReceive = ({ command: [, partial], manifest }) => {
      actor.zfs.put(String(partial), { type: "volume", volsize: SIZE });
      actor.zfs.put(`${partial}@a`, { guid: manifest.guids.to });
    };
    const ask = { profile: "store", backup: backup.guid, content: true, sight };
    const outcomes = [
      await actor.handlers.VerifyBackup(ask),
      await actor.handlers.RestoreBackup({ ...ask, target }),
    ];
    for (const outcome of outcomes) {
      expect(outcome.ok ? "seen" : outcome.failure.code).toBe(isSeen ? "seen" : "backup.not_found");
    }
    expect(actor.zfs.has(target)).toBe(isSeen);
    const pruned = await must(
      actor.handlers.PruneBackups({ profile: "store", last: 1, sinceMs: 0, dryRun: false, sight }),
    );
    expect(pruned.backups).toEqual([]);
    const all = await must(actor.handlers.VerifyBackup({ ...ask, backup: "" }));
    expect(all.backups.length).toBe(isSeen ? 1 : 0);
  });
});
