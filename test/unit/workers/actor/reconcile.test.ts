import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fail } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { CompleteImage } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { type ReconcileReport, reconcile } from "../../../../src/workers/actor/reconcile.js";
import type { HoldRecord, Records } from "../../../../src/workers/actor/record-file.js";
import {
  createKeptLog,
  createMemoryRecords,
  type KeptLog,
  openRecordsOrThrow,
  POOL,
  scratchFolder,
} from "../../../support/memory-actor.js";
import { createMemoryZfs, type MemoryZfs } from "../../../support/memory-zfs.js";
import { originalImage, writeOriginal } from "../../../support/original-database.js";

const SIZE = bytes(8n * 1_048_576n);

function pool(): MemoryZfs {
  const zfs = createMemoryZfs(POOL, bytes(2n ** 40n));
  for (const name of ["tank/images", "tank/guests"]) zfs.put(name);
  return zfs;
}

function putImage(zfs: MemoryZfs, id: string, snapshots = ["s"], marks: Record<string, string> = {}): void {
  zfs.receive(`tank/images/${id}` as DatasetName, { type: "volume", size: SIZE, snapshots }, marks);
}

const record = (id: string, tag = "s"): CompleteImage => ({
  id,
  type: "kvm",
  volume: `tank/images/${id}` as DatasetName,
  snapshot: `tank/images/${id}@${tag}` as SnapshotName,
  size: SIZE,
  status: "complete",
});

async function run(
  zfs: MemoryZfs,
  records: Records,
  options: {
    originalDatabase?: string;
    liveTags?: string[];
    log?: KeptLog;
    runId?: string;
    trash?: Set<DatasetName>;
    releaseLater?: (hold: HoldRecord) => void;
  } = {},
): Promise<ReconcileReport> {
  const { originalDatabase = "/nonexistent/.images.db", liveTags = [], log = createKeptLog() } = options;
  const runId = options.runId ?? "run";
  const outcome = await reconcile({
    pool: POOL,
    zfs,
    records,
    log,
    originalDatabase,
    liveTags,
    trash: options.trash ?? new Set(),
    releaseLater: options.releaseLater ?? (() => {}),
    runId,
  });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.value;
}

describe("reconciling", () => {
  test("adopts complete images that are not recorded, with their type and their oldest snapshot", async () => {
    const zfs = pool();
    putImage(zfs, "z", ["first", "a-later-one"], { "imagestore:type": "container" });
    const records = createMemoryRecords();
    expect((await run(zfs, records)).adopted).toEqual(["z"]);
    expect(records.images.get("z")).toEqual({ ...record("z", "first"), type: "container" });
  });

  test("does not adopt what is no image: no snapshot, no volume, hidden, or deeper", async () => {
    const zfs = pool();
    putImage(zfs, "bare", []);
    putImage(zfs, ".hidden");
    zfs.receive("tank/images/fs" as DatasetName, { type: "filesystem", size: SIZE, snapshots: ["s"] }, {});
    putImage(zfs, "fs/below");
    zfs.put("tank/guests/g", { type: "volume" });
    zfs.put("tank/guests/g@s");
    const records = createMemoryRecords();
    expect((await run(zfs, records)).adopted).toEqual([]);
    expect(records.images.size).toBe(0);
    expect(zfs.has("tank/images/bare")).toBe(true);
  });

  test("drops records whose snapshot is gone, though the volume is there, and keeps the others", async () => {
    const zfs = pool();
    putImage(zfs, "kept");
    putImage(zfs, "bare", []);
    const records = createMemoryRecords([record("kept"), record("bare"), record("gone")]);
    const report = await run(zfs, records);
    expect(report.dropped).toEqual(["bare", "gone"]);
    expect([...records.images.keys()]).toEqual(["kept"]);
  });

  test("a record whose snapshot is gone gives way to the image that is there instead", async () => {
    const zfs = pool();
    putImage(zfs, "i", ["other"]);
    const records = createMemoryRecords([record("i")]);
    const report = await run(zfs, records);
    expect([report.dropped, report.adopted]).toEqual([["i"], ["i"]]);
    expect(records.images.get("i")?.snapshot).toBe("tank/images/i@other");
  });

  test("removes partial receives that carry our mark, and nothing else", async () => {
    const zfs = pool();
    putImage(zfs, ".partial-ours", ["s"], { "imagestore:fetch": "run1" });
    putImage(zfs, ".partial-unfinished", [], { "imagestore:fetch": "run1" });
    putImage(zfs, ".partial-others", ["s"]);
    putImage(zfs, "partial-x", ["s"], { "imagestore:fetch": "run1" });
    zfs.put("tank/guests/.partial-g", { type: "volume" });
    const records = createMemoryRecords();
    const report = await run(zfs, records);
    expect(report.partialsRemoved).toEqual(["tank/images/.partial-ours", "tank/images/.partial-unfinished"]);
    expect(Object.keys(zfs.state())).toEqual([
      "tank",
      "tank/guests",
      "tank/guests/.partial-g",
      "tank/images",
      "tank/images/.partial-others",
      "tank/images/.partial-others@s",
      "tank/images/partial-x",
      "tank/images/partial-x@s",
    ]);
  });

  test("goes on, with a warning, when a partial receive can't be removed", async () => {
    const zfs = pool();
    putImage(zfs, ".partial-busy", [], { "imagestore:fetch": "run1" });
    putImage(zfs, "i");
    zfs.intercept = (call) => (call === "destroy" ? fail("dataset.busy", "busy") : undefined);
    const log = createKeptLog();
    const report = await run(zfs, createMemoryRecords(), { log });
    expect([report.partialsRemoved, report.adopted]).toEqual([[], ["i"]]);
    expect(log.lines.filter(({ level }) => level === "warn")).toMatchObject([
      { fields: { dataset: "tank/images/.partial-busy" } },
    ]);
  });

  test("fails when the pool can't be read, and drops nothing", async () => {
    const zfs = pool();
    const records = createMemoryRecords([record("i")]);
    for (const broken of ["listImages", "find"]) {
      zfs.intercept = (call) => (call === broken ? fail("pool.unavailable", "suspended") : undefined);
      const log = createKeptLog();
      const outcome = await reconcile({
        pool: POOL,
        zfs,
        records,
        log,
        originalDatabase: "/nonexistent",
        liveTags: [],
        trash: new Set(),
        releaseLater: () => {},
        runId: "run",
      });
      expect(outcome).toMatchObject({ ok: false, failure: { code: "pool.unavailable" } });
      expect([...records.images.keys()]).toEqual(["i"]);
    }
  });

  test("a second run in a row changes nothing", async () => {
    const zfs = pool();
    putImage(zfs, "a");
    putImage(zfs, ".partial-b", [], { "imagestore:fetch": "run1" });
    const records = createMemoryRecords([record("gone")]);
    await run(zfs, records);
    const before = zfs.state();
    expect(await run(zfs, records)).toEqual({
      images: 1,
      imported: [],
      adopted: [],
      dropped: [],
      partialsRemoved: [],
      trashRemoved: [],
      holdsReleased: 0,
    });
    expect(zfs.state()).toEqual(before);
  });
});

describe("holds of an earlier run", () => {
  const held = "tank/images/i@s" as SnapshotName;

  test("that are recorded are released; those of live downloads and of others stay", async () => {
    const zfs = pool();
    putImage(zfs, "i");
    const records = createMemoryRecords();
    for (const tag of ["imagestore:old-1", "imagestore:old-2", "imagestore:live-1"]) {
      await zfs.hold(tag, held);
      await records.putHold({ name: held, tag });
    }
    await zfs.hold("backup", held);
    const report = await run(zfs, records, { liveTags: ["imagestore:live-1"] });
    expect(report.holdsReleased).toBe(2);
    expect(zfs.holdsOf(held).sort()).toEqual(["backup", "imagestore:live-1"]);
    expect(await records.holds()).toEqual([{ name: held, tag: "imagestore:live-1" }]);
  });

  test("are found in the pool when the records are new", async () => {
    using folder = scratchFolder();
    const zfs = pool();
    putImage(zfs, "i");
    for (const tag of ["imagestore:lost-1", "imagestore:live-1", "backup"]) await zfs.hold(tag, held);
    const records = await openRecordsOrThrow(folder.path);
    const report = await run(zfs, records, { liveTags: ["imagestore:live-1"] });
    expect(report.holdsReleased).toBe(1);
    expect(zfs.holdsOf(held).sort()).toEqual(["backup", "imagestore:live-1"]);
    await records.close();
  });

  test("whose snapshot is gone are forgotten", async () => {
    const records = createMemoryRecords();
    await records.putHold({ name: "tank/v@none" as SnapshotName, tag: "imagestore:old-1" });
    expect((await run(pool(), records)).holdsReleased).toBe(0);
    expect(await records.holds()).toEqual([]);
  });

  test("whose dataset was renamed are released under the new name, also by a restart of the actor", async () => {
    const zfs = pool();
    zfs.put("tank/guests/b", { type: "volume" });
    zfs.put("tank/guests/b@s");
    const records = createMemoryRecords();
    await records.markHoldsSwept("run");
    const name = "tank/guests/b@s" as SnapshotName;
    await zfs.hold("imagestore:old-1", name);
    await records.putHold({ name, tag: "imagestore:old-1" });
    await zfs.rename("tank/guests/b" as DatasetName, "tank/guests/c" as DatasetName);
    // Another snapshot of the old name must not pass for the one that was held.
    zfs.put("tank/guests/b", { type: "volume" });
    zfs.put(name);
    expect((await run(zfs, records)).holdsReleased).toBe(1);
    expect(zfs.holdsOf("tank/guests/c@s")).toEqual([]);
    expect(await records.holds()).toEqual([]);
  });

  test("that the records don't know are looked for at each start until one has found and released them", async () => {
    const zfs = pool();
    putImage(zfs, "i");
    await zfs.hold("imagestore:lost-1", held);
    const records = createMemoryRecords();
    const failing = (what: string) => {
      zfs.intercept = (call) => (call === what ? fail("dataset.not_found", "not found") : undefined);
    };
    const log = createKeptLog();
    failing("listHolds");
    expect((await run(zfs, records, { log })).holdsReleased).toBe(0);
    failing("release");
    const left: HoldRecord[] = [];
    const releaseLater = (hold: HoldRecord) => void left.push(hold);
    expect((await run(zfs, records, { log, releaseLater })).holdsReleased).toBe(0);
    expect(left).toEqual([{ name: held, tag: "imagestore:lost-1" }]);
    expect(log.lines.filter(({ level }) => level === "warn").length).toBe(2);
    failing("none");
    expect((await run(zfs, records)).holdsReleased).toBe(1);
    expect(zfs.holdsOf(held)).toEqual([]);
  });

  test("are looked for once in a run of the daemon, and again in the next run", async () => {
    const zfs = pool();
    putImage(zfs, "i");
    const records = createMemoryRecords();
    let lists = 0;
    zfs.intercept = (call) => {
      if (call === "listHolds") lists++;
      return undefined;
    };
    await run(zfs, records, { runId: "a" });
    await run(zfs, records, { runId: "a" });
    expect(lists).toBe(1);
    await zfs.hold("imagestore:lost-1", held);
    expect((await run(zfs, records, { runId: "b" })).holdsReleased).toBe(1);
    expect(lists).toBe(2);
  });

  test("that can't be released now are kept for the next start", async () => {
    const zfs = pool();
    putImage(zfs, "i");
    const records = createMemoryRecords();
    await zfs.hold("imagestore:old-1", held);
    await records.putHold({ name: held, tag: "imagestore:old-1" });
    zfs.intercept = (call) => (call === "release" ? fail("command.timed_out", "slow") : undefined);
    expect((await run(zfs, records)).holdsReleased).toBe(0);
    expect(await records.holds()).toEqual([{ name: held, tag: "imagestore:old-1" }]);
  });
});

describe("the original's records", () => {
  test("are imported once, as far as the pool bears them out", async () => {
    using folder = scratchFolder();
    const originalDatabase = join(folder.path, ".images.db");
    await writeOriginal(originalDatabase, [
      ["here", originalImage("here", { type: "container" })],
      ["lost", originalImage("lost")],
      ["bad", "{"],
    ]);
    const zfs = pool();
    putImage(zfs, "here");
    const records = await openRecordsOrThrow(folder.path);
    const log = createKeptLog();
    const report = await run(zfs, records, { originalDatabase, log });
    expect(report.imported).toEqual(["here", "lost"]);
    expect(report.dropped).toEqual(["lost"]);
    expect(records.images.get("here")?.type).toBe("container");
    expect(log.lines.filter(({ level }) => level === "warn")).toMatchObject([{ fields: { key: "bad" } }]);

    await records.dropImage("here");
    await zfs.destroy("tank/images/here" as DatasetName, true);
    expect((await run(zfs, records, { originalDatabase })).imported).toEqual([]);
    expect(records.images.size).toBe(0);
    await records.close();
  });

  test("that can't be read are tried again at the next start", async () => {
    using folder = scratchFolder();
    const originalDatabase = join(folder.path, ".images.db");
    writeFileSync(originalDatabase, "no database, but long enough to be looked at".repeat(50));
    const zfs = pool();
    putImage(zfs, "here");
    const records = createMemoryRecords();
    const log = createKeptLog();
    expect((await run(zfs, records, { originalDatabase, log })).imported).toEqual([]);
    expect(log.lines.filter(({ level }) => level === "error").length).toBe(1);
    expect(await records.importDone()).toBe(false);
  });

  test("don't replace what is recorded already", async () => {
    using folder = scratchFolder();
    const originalDatabase = join(folder.path, ".images.db");
    await writeOriginal(originalDatabase, [["i", originalImage("i", { type: "old" })]]);
    const zfs = pool();
    putImage(zfs, "i");
    const records = createMemoryRecords([record("i")]);
    expect((await run(zfs, records, { originalDatabase })).imported).toEqual([]);
    expect(records.images.get("i")?.type).toBe("kvm");
  });
});
