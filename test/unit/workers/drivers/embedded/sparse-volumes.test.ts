import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import type { Zfs } from "../../../../../src/workers/drivers/driver.js";
import { openEmbeddedZfs } from "../../../../../src/workers/drivers/embedded/embedded-driver.js";
import { createVolumeCopier } from "../../../../../src/workers/drivers/embedded/volume-copy.js";
import { findVolumeData } from "../../../../../src/workers/drivers/embedded/volume-data.js";
import { createKeptLog, scratchFolder } from "../../../../support/memory-actor.js";
import { mustSucceed as must } from "../../../../support/outcomes.js";

const MIB = 2 ** 20;
const TIB = 2 ** 40;

/** A sparse file with a word at each of `places`. */
async function makeSparse(path: string, size: number, places: readonly number[]): Promise<void> {
  await using file = await open(path, "wx+");
  await file.truncate(size);
  for (const place of places) await file.write(wordAt(place), place);
}

const wordAt = (place: number) => `at ${place}.`;

async function wordIn(path: string, place: number): Promise<string> {
  await using file = await open(path, "r");
  const length = wordAt(place).length;
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, place);
  return buffer.toString("latin1");
}

describe("a sparse file", () => {
  test("of 4 TiB: its data is found and copied without its holes being read", async () => {
    using folder = scratchFolder();
    const from = join(folder.path, "from");
    const places = [0, 5 * 10 ** 9, TIB, 4 * TIB - 4096];
    await makeSparse(from, 4 * TIB, places);
    const ranges = await findVolumeData(from);
    expect(ranges).toHaveLength(places.length);
    for (const place of places) {
      expect(ranges?.some(({ start, end }) => start <= place && place < end)).toBe(true);
    }
    const to = join(folder.path, "to");
    const begun = performance.now();
    let parts = 0;
    await createVolumeCopier().copy(from, to, { onProgress: () => parts++ });
    expect(parts).toBeGreaterThanOrEqual(places.length);
    // At 4 GB/s the holes alone would take 18 minutes.
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect(statSync(to).size).toBe(4 * TIB);
    expect(statSync(to).blocks).toBeLessThanOrEqual(statSync(from).blocks);
    for (const place of places) expect(await wordIn(to, place)).toBe(wordAt(place));
  });

  test("without any data has no ranges, and a full one is read as a whole", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, "file");
    await makeSparse(path, 4 * TIB, []);
    expect(await findVolumeData(path)).toEqual([]);
    truncateSync(path, 0);
    await using file = await open(path, "r+");
    await file.write(Buffer.alloc(MIB, "x"), 0);
    expect(await findVolumeData(path)).toBeUndefined();
  });

  test("with data in any places is the same in its copy", async () => {
    using folder = scratchFolder();
    let round = 0;
    const size = 512 * MIB;
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(size / 4096 - 1), { maxLength: 40 }), async (blocks) => {
        const from = join(folder.path, `from-${round}`);
        const to = join(folder.path, `to-${round++}`);
        const places = blocks.map((block) => block * 4096);
        await makeSparse(from, size, places);
        const ranges = (await findVolumeData(from)) ?? [];
        let last = -1;
        for (const { start, end } of ranges) {
          expect(start).toBeGreaterThan(last);
          expect(end).toBeGreaterThan(start);
          last = end;
        }
        await createVolumeCopier().copy(from, to);
        expect(statSync(to).size).toBe(size);
        for (const place of places) expect(await wordIn(to, place)).toBe(wordAt(place));
        expect(statSync(to).blocks).toBeLessThanOrEqual(statSync(from).blocks);
      }),
      { numRuns: 20 },
    );
  });

  test("has many ranges: close ones are joined, and none is missing", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, "file");
    const far = Array.from({ length: 3000 }, (_, index) => index * 4 * MIB);
    const near = Array.from({ length: 3000 }, (_, index) => 3000 * 4 * MIB + index * 64 * 1024);
    await makeSparse(path, 64 * 1024 * MIB, [...far, ...near]);
    const ranges = (await findVolumeData(path)) ?? [];
    expect(ranges).toHaveLength(3001);
    expect(ranges.at(-1)?.end).toBeGreaterThan(near.at(-1) ?? 0);
  });

  test("is read as a whole where there is no tar that knows holes", async () => {
    using folder = scratchFolder();
    const path = join(folder.path, "file");
    await makeSparse(path, 128 * MIB, [0, 100 * MIB]);
    const before = process.env.PATH;
    process.env.PATH = folder.path;
    try {
      expect(await findVolumeData(path)).toBeUndefined();
      const to = join(folder.path, "to");
      await createVolumeCopier().copy(path, to);
      expect(await wordIn(to, 100 * MIB)).toBe(wordAt(100 * MIB));
    } finally {
      process.env.PATH = before;
    }
  });

  test("is copied until somebody cancels", async () => {
    using folder = scratchFolder();
    const from = join(folder.path, "from");
    await using file = await open(from, "wx");
    await file.write(Buffer.alloc(4 * MIB, "x"), 0);
    const stop = new AbortController();
    stop.abort(new Error("no more"));
    const copying = createVolumeCopier().copy(from, join(folder.path, "to"), { signal: stop.signal });
    await expect(copying).rejects.toThrow("no more");
  });
});

/** Whether the file system of the tests finds holes, without which nothing above says anything. */
beforeAll(async () => {
  using folder = scratchFolder();
  const path = join(folder.path, "file");
  await makeSparse(path, 100 * MIB, [0]);
  expect(statSync(path).blocks * 512).toBeLessThan(MIB);
});

describe("copies that are prepared for changes", () => {
  const POOL = "tank" as PoolName;
  const volume = "tank/v" as DatasetName;
  const first = "tank/v@1" as SnapshotName;
  const clone = "tank/c" as DatasetName;

  async function openPool(folder: string) {
    const log = createKeptLog();
    const zfs = await must(openEmbeddedZfs({ name: POOL, driver: "embedded", folder }, log));
    await must(zfs.createVolume(volume, bytes(8 * MIB)));
    writeFileSync(join(zfs.devices, "tank", "v"), "one", { flag: "r+" });
    await must(zfs.snapshot(first, false));
    return zfs;
  }
  const start = (zfs: Zfs, name: string) =>
    readFileSync(join(zfs.devices, "tank", name), "latin1").slice(0, 3);
  const filesIn = (folder: string, name: string) => readdirSync(join(folder, name)).length;

  test("become the data of the changes, each once, and what is left is removed", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    const copies = await must(
      zfs.prepareCopies([
        { clone: first, target: clone },
        { clone: first, target: "tank/never" as DatasetName },
      ]),
    );
    expect(filesIn(folder.path, "incoming")).toBe(2);
    await must(zfs.clone(first, clone, copies));
    expect(filesIn(folder.path, "incoming")).toBe(1);
    await copies.discard();
    expect(filesIn(folder.path, "incoming")).toBe(0);
    expect(start(zfs, "c")).toBe("one");
    await zfs.close();
  });

  test("are not used for data that was rolled back meanwhile", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    writeFileSync(join(zfs.devices, "tank", "v"), "two", { flag: "r+" });
    const second = "tank/v@2" as SnapshotName;
    const copies = await must(zfs.prepareCopies([{ snapshot: second, recursive: false }]));
    await must(zfs.rollback(first, false));
    await must(zfs.snapshot(second, false, copies));
    await copies.discard();
    await must(zfs.clone(second, clone));
    expect(start(zfs, "c")).toBe("one");
    expect(filesIn(folder.path, "incoming")).toBe(0);
    await zfs.close();
  });

  test("of a snapshot that was destroyed meanwhile are of no use, and removed", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    const copies = await must(zfs.prepareCopies([{ clone: first, target: clone }]));
    await must(zfs.destroy(first, false));
    expect(await zfs.clone(first, clone, copies)).toMatchObject({ failure: { code: "dataset.not_found" } });
    await copies.discard();
    expect([filesIn(folder.path, "incoming"), filesIn(folder.path, "volumes")]).toEqual([0, 1]);
    await zfs.close();
  });

  test("are not made for changes that can't succeed", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.snapshot("tank/v@2" as SnapshotName, false));
    await must(
      zfs.prepareCopies([
        { clone: first, target: volume },
        { clone: "tank/v@none" as SnapshotName, target: clone },
        { snapshot: first, recursive: false },
        { snapshot: "tank/none@s" as SnapshotName, recursive: true },
        { rollback: first, destroyMoreRecent: false },
        { rollback: "tank/v@none" as SnapshotName, destroyMoreRecent: true },
      ]),
    );
    expect(filesIn(folder.path, "incoming")).toBe(0);
    await zfs.close();
  });

  test("are given up when the daemon stops, with nothing left", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    zfs.cancelCopies();
    const stopping = { failure: { code: "service.stopping" } };
    expect(await zfs.prepareCopies([{ clone: first, target: clone }])).toMatchObject(stopping);
    expect(await zfs.clone(first, clone)).toMatchObject(stopping);
    expect(await zfs.rollback(first, false)).toMatchObject(stopping);
    expect(filesIn(folder.path, "incoming")).toBe(0);
    await must(zfs.destroy(first, false));
    await zfs.close();
  });
});
