import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StoreOrder } from "../../src/protocol/backups/store-orders.js";
import type { BackupProfile } from "../../src/protocol/storage/backup-profile.js";
import { createChildMemory, createChildTable } from "../../src/protocol/threads/child-table.js";
import { type ObjectStore, openObjectStore } from "../../src/workers/backups/object-store.js";
import { runStoreOrder } from "../../src/workers/backups/run-store-order.js";
import { engineName } from "../support/engine-process.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { mustSucceed as must } from "../support/outcomes.js";

const PART_BYTES = 5 * 1024 * 1024;
const HOUR_MS = 60 * 60 * 1000;
/** More than a page of a listing has. */
const MANY = 1_003;

const isReal = engineName() !== "s3rver";
/** A title, with the reason why it is left out. */
const onReal = (title: string) =>
  isReal ? title : `${title} (skipped: s3rver can't; OBJECT_ENGINE=radosgw and swift can)`;

describe(`what is asked of ${engineName()}`, { timeout: 300_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-store-"));
  const { signal } = new AbortController();
  let engine: ObjectEngine;
  let profile: BackupProfile;
  let store: ObjectStore;

  beforeAll(async () => {
    engine = await startObjectEngine(folder);
    profile = {
      ...{
        region: "us-east-1",
        pathStyle: true,
        recipients: [],
        fullEvery: 30,
        partBytes: PART_BYTES,
        abandonedMs: HOUR_MS,
      },
      ...(engine.profile as Pick<
        BackupProfile,
        "endpoint" | "bucket" | "prefix" | "accessKeyFile" | "secretKeyFile"
      >),
    };
    store = await openObjectStore(profile, { idleMs: 30_000, signal });
  });
  afterAll(async () => {
    store?.close();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function read(name: string, from?: number): Promise<Buffer | undefined> {
    const content = await store.open(name, from);
    return content && Buffer.concat(await content.toArray());
  }

  async function clear(abandonedMs: number, dryRun = false): Promise<readonly string[]> {
    const order: StoreOrder<"clear"> = {
      ...{ task: "clear", folder: "1/", dryRun, profileName: "store" },
      profile: { ...profile, abandonedMs },
    };
    const options = { order, signal, idleMs: 30_000, onStart: () => {}, onProgress: () => {} };
    const done = await must(runStoreOrder({ ...options, children: createChildTable(createChildMemory()) }));
    return done.task === "clear" ? done.value : [];
  }

  test("an object is put, put again, read from any byte on, and removed twice", async () => {
    await store.put("1/small", Buffer.from("another"));
    await store.put("1/small", Buffer.from("0123456789"));
    expect(await store.sizeOf("1/small")).toBe(10);
    expect(String(await read("1/small"))).toBe("0123456789");
    expect(String(await read("1/small", 7))).toBe("789");
    await store.remove("1/small");
    await store.remove("1/small");
    expect([await store.sizeOf("1/small"), await read("1/small"), await read("1/small", 3)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(await store.list("1/")).toEqual([]);
  });

  test.skipIf(!isReal)(
    onReal("an upload in parts is whole also if a part was sent twice and its end was told twice"),
    async () => {
      const name = "1/2/3.full.zfs";
      const parts = [randomBytes(PART_BYTES), randomBytes(PART_BYTES), randomBytes(1_234)];
      const uploadId = await store.beginUpload(name);
      await store.putPart(name, uploadId, 2, randomBytes(PART_BYTES));
      const stored = await Promise.all(
        parts.map((content, index) => store.putPart(name, uploadId, index + 1, content)),
      );
      expect(await store.sizeOf(name)).toBeUndefined();
      await store.completeUpload(name, uploadId, stored);
      await store.completeUpload(name, uploadId, stored);
      const whole = Buffer.concat(parts);
      expect(await store.sizeOf(name)).toBe(whole.length);
      const digest = (data: Buffer = Buffer.alloc(0)) => createHash("sha256").update(data).digest("hex");
      expect(digest(await read(name))).toBe(digest(whole));
      const from = PART_BYTES + 77;
      expect(digest(await read(name, from))).toBe(digest(whole.subarray(from)));
      expect((await store.list("1/2/")).map((each) => [each.name, each.bytes])).toEqual([
        [name, whole.length],
      ]);
      await store.remove(name);
    },
  );

  test.skipIf(!isReal)(
    onReal("an upload that was aborted is gone, may be aborted again, and takes no part"),
    async () => {
      const name = "1/2/4.full.zfs";
      const uploadId = await store.beginUpload(name);
      await store.putPart(name, uploadId, 1, randomBytes(1_000));
      await store.abortUpload(name, uploadId);
      await store.abortUpload(name, uploadId);
      expect(await store.sizeOf(name)).toBeUndefined();
      await expect(store.putPart(name, uploadId, 2, randomBytes(1_000))).rejects.toThrow();
    },
  );

  test.skipIf(!isReal)(
    onReal("uploads in parts are listed below a folder, and go by their age"),
    async () => {
      const names = ["1/2/5.full.zfs", "1/2/5-6.inc.zfs"];
      for (const name of [...names, "7/8/9.full.zfs"]) {
        const uploadId = await store.beginUpload(name);
        await store.putPart(name, uploadId, 1, randomBytes(1_000));
      }
      const open = await store.openUploads("1/");
      expect(open.map(({ name }) => name).sort()).toEqual([...names].sort());
      for (const { begunAt } of open) expect(Math.abs(Date.now() - begunAt)).toBeLessThan(HOUR_MS / 2);
      expect(await clear(HOUR_MS)).toEqual([]);
      // An age of less than none: the clock of the engine has whole seconds.
      expect([...(await clear(-HOUR_MS, true))].sort()).toEqual([...names].sort());
      expect(await store.openUploads("1/")).toHaveLength(2);
      expect(await clear(-HOUR_MS)).toHaveLength(2);
      expect(await store.openUploads("1/")).toEqual([]);
      expect((await store.openUploads("")).map(({ name }) => name)).toEqual(["7/8/9.full.zfs"]);
      for (const { name, uploadId } of await store.openUploads("")) await store.abortUpload(name, uploadId);
    },
  );

  test("data without a manifest goes by its age, and what has one stays", async () => {
    for (const name of ["1/2/10.full.zfs", "1/2/10.full.json", "1/2/11.full.zfs", "1/note"]) {
      await store.put(name, Buffer.from("x"));
    }
    expect(await clear(HOUR_MS)).toEqual([]);
    expect(await clear(-HOUR_MS)).toEqual(["1/2/11.full.zfs"]);
    expect((await store.list("1/")).map(({ name }) => name)).toEqual([
      "1/2/10.full.json",
      "1/2/10.full.zfs",
      "1/note",
    ]);
  });

  test.skipIf(!isReal)(
    onReal(`${MANY} objects are listed page by page, in the order of their names`),
    async () => {
      const names = Array.from({ length: MANY }, (_, index) => `many/${String(index).padStart(5, "0")}`);
      const left = [...names];
      const lane = async () => {
        for (let name = left.pop(); name !== undefined; name = left.pop()) {
          await store.put(name, Buffer.from(name));
        }
      };
      await Promise.all(Array.from({ length: 8 }, lane));
      expect((await store.list("many/")).map(({ name }) => name)).toEqual(names);
    },
  );
});
