import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { CompleteImage } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { openRecords } from "../../../../src/workers/actor/record-file.js";
import { openSqlite } from "../../../../src/workers/sqlite/open-sqlite.js";
import { createKeptLog, openRecordsOrThrow, POOL, scratchFolder } from "../../../support/memory-actor.js";

const image = (id: string, size = 1n): CompleteImage => ({
  id,
  type: "kvm",
  volume: `tank/images/${id}` as DatasetName,
  snapshot: `tank/images/${id}@s` as SnapshotName,
  size: bytes(size),
  status: "complete",
});

const hold = (name: string, tag: string) => ({ name: name as SnapshotName, tag });

describe("the records of a pool", () => {
  test("survive a close, with 64-bit sizes and odd ids digit for digit", async () => {
    using folder = scratchFolder();
    const big = image("a b:c'\"-_.", 2n ** 64n - 1n);
    const first = await openRecordsOrThrow(folder.path);
    expect([first.images.size, await first.importDone(), await first.holdsSweptBy()]).toEqual([
      0,
      false,
      undefined,
    ]);
    await first.markHoldsSwept("run");
    await first.putImage(image("i"));
    await first.putImage(big);
    await first.putImage(image("gone"));
    await first.dropImage("gone");
    await first.putHold(hold("tank/v@s", "t1"));
    await first.putHold(hold("tank/v@s", "t1"));
    await first.putHold(hold("tank/v@s", "t2"));
    await first.dropHold(hold("tank/v@s", "t2"));
    await first.markImportDone();
    await first.close();

    const second = await openRecordsOrThrow(folder.path);
    expect(second.images).toEqual(
      new Map([
        ["i", image("i")],
        [big.id, big],
      ]),
    );
    expect(await second.holdsSweptBy()).toBe("run");
    expect(await second.importDone()).toBe(true);
    expect(await second.holds()).toEqual([hold("tank/v@s", "t1")]);
    await second.close();
  });

  test.each([0n, 1n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n])("keep a size of %i bytes", async (size) => {
    using folder = scratchFolder();
    const first = await openRecordsOrThrow(folder.path);
    await first.putImage(image("i", size));
    await first.close();
    const second = await openRecordsOrThrow(folder.path);
    expect(second.images.get("i")?.size).toBe(size);
    await second.close();
  });

  test("replace an image that is put again", async () => {
    using folder = scratchFolder();
    const first = await openRecordsOrThrow(folder.path);
    await first.putImage(image("i", 1n));
    await first.putImage(image("i", 2n));
    expect(first.images.get("i")?.size).toBe(2n);
    await first.close();
    const second = await openRecordsOrThrow(folder.path);
    expect([...second.images.values()]).toEqual([image("i", 2n)]);
    await second.close();
  });

  test("make their folder", async () => {
    using folder = scratchFolder();
    const records = await openRecordsOrThrow(join(folder.path, "a", "b"));
    await records.close();
    expect(readdirSync(join(folder.path, "a", "b"))).toEqual(["tank.db"]);
  });

  test.each([
    [
      "is no database",
      Buffer.from("this is no database at all, but long enough to have a header".repeat(20)),
    ],
    ["has a good header and damage behind it", undefined],
  ])("put a file aside that %s, say so, and begin anew", async (_what, bytesOfFile) => {
    using folder = scratchFolder();
    const path = join(folder.path, "tank.db");
    if (bytesOfFile) writeFileSync(path, bytesOfFile);
    else {
      const records = await openRecordsOrThrow(folder.path);
      await records.putImage(image("i"));
      await records.close();
      const good = readFileSync(path);
      writeFileSync(path, Buffer.concat([good.subarray(0, 100), Buffer.alloc(good.length - 100, 0xa5)]));
    }
    const damaged = readFileSync(path);
    const log = createKeptLog();
    const records = await openRecordsOrThrow(folder.path, log);
    expect(records.images.size).toBe(0);
    await records.putImage(image("new"));
    await records.close();
    const aside = readdirSync(folder.path).filter((name) => name.startsWith("tank.db.damaged-"));
    expect(aside.length).toBe(1);
    expect(readFileSync(join(folder.path, aside[0] ?? "")).equals(damaged)).toBe(true);
    expect(log.lines).toMatchObject([{ level: "warn", message: expect.stringContaining("damaged") }]);
    const again = await openRecordsOrThrow(folder.path);
    expect([...again.images.keys()]).toEqual(["new"]);
    await again.close();
  });

  test("begin anew too when a damaged file has its write-ahead log beside it, as a crash leaves it", async () => {
    using crashed = scratchFolder();
    using folder = scratchFolder();
    const before = await openRecordsOrThrow(crashed.path);
    for (let index = 0; index < 200; index++) await before.putImage(image(`i${index}`));
    await before.close();
    // The log of this run has only some of the pages: it can't repair the file.
    const running = await openRecordsOrThrow(crashed.path);
    await running.putImage(image("last"));
    const files = readdirSync(crashed.path).filter((name) => name.startsWith("tank.db"));
    expect(files).toContain("tank.db-wal");
    for (const name of files) copyFileSync(join(crashed.path, name), join(folder.path, name));
    await running.close();
    writeFileSync(join(folder.path, "tank.db"), "damaged".repeat(1_000));

    const records = await openRecordsOrThrow(folder.path);
    expect(records.images.size).toBe(0);
    await records.putImage(image("new"));
    await records.close();
    const again = await openRecordsOrThrow(folder.path);
    expect([...again.images.keys()]).toEqual(["new"]);
    await again.close();
  });

  test("come back from a write-ahead log that a crash left", async () => {
    using crashed = scratchFolder();
    using folder = scratchFolder();
    const running = await openRecordsOrThrow(crashed.path);
    for (let index = 0; index < 200; index++) await running.putImage(image(`i${index}`));
    for (const name of readdirSync(crashed.path))
      copyFileSync(join(crashed.path, name), join(folder.path, name));
    await running.close();
    const records = await openRecordsOrThrow(folder.path);
    expect(records.images.size).toBe(200);
    await records.close();
  });

  test("are open to one daemon at a time", async () => {
    using folder = scratchFolder();
    const first = await openRecordsOrThrow(folder.path);
    expect(await openRecords(folder.path, POOL, createKeptLog())).toMatchObject({
      ok: false,
      failure: {
        code: "records.unavailable",
        message: expect.stringContaining("another imagestore has it open"),
      },
    });
    await first.close();
    const second = await openRecordsOrThrow(folder.path);
    await second.close();
  });

  test("have a version; those of a newer one are refused as such and stay as they are", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, "tank.db");
    await (await openRecordsOrThrow(folder.path)).close();
    const database = await openSqlite(path);
    expect(await database.all("PRAGMA user_version")).toEqual([{ user_version: 1 }]);
    await database.run("PRAGMA user_version = 2");
    await database.close();
    const before = readFileSync(path);
    expect(await openRecords(folder.path, POOL, createKeptLog())).toMatchObject({
      failure: {
        code: "records.unavailable",
        message: expect.stringMatching(/tank\.db was written by a newer imagestore: its version is 2/),
      },
    });
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(folder.path)).toEqual(["tank.db"]);
  });

  test("of a time before versions are read, and get the version", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, "tank.db");
    const records = await openRecordsOrThrow(folder.path);
    await records.putImage(image("a"));
    await records.close();
    const old = await openSqlite(path);
    await old.run("PRAGMA user_version = 0");
    await old.close();
    const again = await openRecordsOrThrow(folder.path);
    expect([...again.images.keys()]).toEqual(["a"]);
    await again.close();
    const database = await openSqlite(path);
    expect(await database.all("PRAGMA user_version")).toEqual([{ user_version: 1 }]);
    await database.close();
  });

  test("fail where their folder can't be", async () => {
    using folder = scratchFolder();
    writeFileSync(join(folder.path, "file"), "");
    expect(await openRecords(join(folder.path, "file"), POOL, createKeptLog())).toMatchObject({
      ok: false,
      failure: { code: "records.unavailable", message: expect.stringContaining("pool tank") },
    });
    mkdirSync(join(folder.path, "dir", "tank.db"), { recursive: true });
    expect(await openRecords(join(folder.path, "dir"), POOL, createKeptLog())).toMatchObject({
      ok: false,
      failure: { code: "records.unavailable" },
    });
  });
});
