import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readlinkSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../../../../src/protocol/storage/failures.js";
import {
  type DatasetName,
  devicePath,
  type PoolName,
  type SnapshotName,
} from "../../../../../src/protocol/storage/names.js";
import { type Bytes, bytes } from "../../../../../src/protocol/storage/units.js";
import { createActorLog } from "../../../../../src/protocol/threads/actor-log.js";
import type { AnyName, DatasetInfo, Zfs } from "../../../../../src/workers/drivers/driver.js";
import { openEmbeddedZfs } from "../../../../../src/workers/drivers/embedded/embedded-driver.js";
import { openSqlite } from "../../../../../src/workers/sqlite/open-sqlite.js";
import { scratchFolder } from "../../../../support/memory-actor.js";
import { createMemoryZfs, type MemoryZfs } from "../../../../support/memory-zfs.js";
import { mustSucceed as must } from "../../../../support/outcomes.js";

const CHURN = fileURLToPath(new URL("../../../../fixtures/embedded-churn.mjs", import.meta.url));
const POOL = "tank" as PoolName;
const MIB = 1_048_576;
const PLENTY = bytes(2n ** 60n);
const quiet = createActorLog(() => {}, false);

const dataset = (name: string) => name as DatasetName;
const snapshot = (name: string) => name as SnapshotName;

async function openPool(folder: string, quota?: Bytes): Promise<Zfs> {
  const opened = await openEmbeddedZfs(
    { name: POOL, driver: "embedded", folder, quotaBytes: quota === undefined ? undefined : Number(quota) },
    quiet,
  );
  if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
  return opened.value;
}

const device = (zfs: Zfs, name: string) => devicePath(dataset(name), zfs.devices);

async function write(zfs: Zfs, name: string, at: number, text: string): Promise<void> {
  await using file = await open(device(zfs, name), "r+");
  await file.write(text, at);
}

async function read(zfs: Zfs, name: string, at: number, length: number): Promise<string> {
  await using file = await open(device(zfs, name), "r");
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, at);
  return buffer.toString();
}

// --- against the in-memory pool ---------------------------------------------------

/** What a change answers. The pool in memory does not know how much a snapshot has written. */
type Changed = Bytes | boolean | null | undefined;

type Call = {
  readonly [K in keyof Zfs]: Zfs[K] extends (...args: infer A) => Promise<Outcome<Changed>> ? [K, A] : never;
}[keyof Zfs];

const names = fc
  .constantFrom("a", "b", "a/x", "a/y", "a/x/deep", "c d")
  .map((name) => dataset(`tank/${name}`));
const tags = fc.constantFrom("s", "t", "u");
const snapshots = fc.tuple(names, tags).map(([name, tag]) => snapshot(`${name}@${tag}`));
const sizes = fc.constantFrom(1, 2, 3).map((mib) => bytes(mib * MIB));
const holdTags = fc.constantFrom("imagestore:1", "imagestore:2", "other");

const calls: fc.Arbitrary<Call> = fc.oneof(
  names.map((name): Call => ["ensureFilesystem", [name]]),
  fc.tuple(names, sizes).map((args): Call => ["createVolume", args]),
  fc.tuple(snapshots, fc.boolean()).map((args): Call => ["snapshot", args]),
  fc.tuple(snapshots, names).map((args): Call => ["clone", args]),
  fc
    .tuple(names, names)
    .filter(([from, to]) => !to.startsWith(from))
    .chain(([from, to]) => fc.boolean().map((makeParents): Call => ["rename", [from, to, makeParents]])),
  fc.tuple(names, sizes).map((args): Call => ["resize", args]),
  names.map((name): Call => ["promote", [name]]),
  fc.tuple(fc.oneof(names, snapshots), fc.boolean()).map((args): Call => ["destroy", args]),
  fc.tuple(snapshots, fc.boolean()).map((args): Call => ["rollback", args]),
  fc.tuple(holdTags, snapshots).map((args): Call => ["hold", args]),
  fc.tuple(holdTags, snapshots).map((args): Call => ["release", args]),
);

function run(zfs: Zfs, [name, args]: Call): Promise<Outcome<Changed>> {
  return (zfs[name] as (...args: unknown[]) => Promise<Outcome<Changed>>)(...args);
}

/** The pages behind a name: of the volumes, of all snapshots, and of those of one dataset. */
async function pagesBehind(zfs: Zfs, after: string): Promise<unknown> {
  const page = (limit: number) => ({ page: { limit, after }, isShown: () => true });
  const lists = [zfs.listVolumes(page(2)), zfs.listSnapshots(POOL, page(3))];
  const below = await zfs.listSnapshots(dataset("tank/a"), page(2));
  const all = await Promise.all(lists.map((list) => must<readonly DatasetInfo[]>(list)));
  return [...all, below.ok ? below.value : []].map((found) => found.map(({ name }) => name));
}

/** Everything that a pool shows. */
async function shown(zfs: Zfs): Promise<unknown> {
  const volumes = await must(zfs.listVolumes());
  const all = await must(zfs.listSnapshots(POOL));
  const holds = await must(zfs.listHolds("imagestore:"));
  const seen = (await Promise.all(everyName.map((name) => must(zfs.find(name))))).map(
    (info) => info && [info.name, info.type, info.volsize, info.origin],
  );
  return {
    pages: await Promise.all(everyName.map((after) => pagesBehind(zfs, after))),
    volumes: volumes.map(({ name }) => name).sort(),
    snapshots: all.map(({ name }) => name).sort(),
    order: (await Promise.all(volumes.map(({ name }) => must(zfs.snapshotsOf(name as DatasetName))))).map(
      (list) => list.map(({ name }) => name),
    ),
    holds: holds.map(({ name, tag }) => `${tag} ${name}`).sort(),
    seen,
  };
}

const everyName: AnyName[] = ["a", "b", "a/x", "a/y", "a/x/deep", "c d"].flatMap((name) => [
  dataset(`tank/${name}`),
  ...["s", "t", "u"].map((tag) => snapshot(`tank/${name}@${tag}`)),
]);

/** What the folder of a pool must hold, and nothing else. */
async function expectTidy(zfs: Zfs, folder: string): Promise<void> {
  const volumes = await must(zfs.listVolumes());
  for (const { name, volsize } of volumes) expect(statSync(device(zfs, name)).size).toBe(Number(volsize));
  const inUse = new Set(volumes.map(({ name }) => readlinkSync(device(zfs, name)).split("/").at(-1)));
  const withData = (await must(zfs.listSnapshots(POOL))).filter(({ volsize }) => volsize > 0n);
  const files = readdirSync(join(folder, "volumes"));
  expect(files.length).toBeLessThanOrEqual(inUse.size + withData.length);
  expect(files.length).toBeGreaterThanOrEqual(Math.max(inUse.size, withData.length));
  const links = execFileSync("find", [zfs.devices, "-type", "l"], { encoding: "utf8" });
  expect(links.split("\n").filter((line) => line !== "")).toHaveLength(volumes.length);
  expect(readdirSync(join(folder, "incoming"))).toEqual([]);
  expect(readdirSync(folder)).not.toContain("lost");
}

describe("the pool's usage", () => {
  test("is what its files take, and what the quota leaves", async () => {
    using folder = scratchFolder();
    const quota = bytes(100 * MIB);
    const zfs = await openPool(folder.path, quota);
    const empty = await must(zfs.poolUsage());
    expect(empty).toEqual({
      size: quota,
      allocated: 0n,
      free: quota,
      health: "ONLINE",
      fragmentation: undefined,
    });
    const name = dataset("tank/v");
    await must(zfs.createVolume(name, bytes(8 * MIB)));
    writeFileSync(join(zfs.devices, name), Buffer.alloc(3 * MIB, 1), { flag: "r+" });
    await must(zfs.snapshot(snapshot("tank/v@s"), false));
    const used = await must(zfs.poolUsage());
    expect(used.allocated).toBe(bytes(6 * MIB));
    expect(used.allocated + used.free).toBe(quota);
    await zfs.close();
  });

  test("is that of the file system where there is no quota", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    const { bavail, bsize } = statfsSync(folder.path, { bigint: true });
    const { size, allocated, free } = await must(zfs.poolUsage());
    expect(size).toBe(allocated + free);
    // Others write to this file system too.
    expect(Math.abs(Number(free - bavail * bsize))).toBeLessThan(1024 * MIB);
    await zfs.close();
  });

  test("has nothing free under a quota that was lowered below what is used", async () => {
    using folder = scratchFolder();
    const large = await openPool(folder.path, bytes(100 * MIB));
    await must(large.createVolume(dataset("tank/v"), bytes(8 * MIB)));
    writeFileSync(join(large.devices, "tank/v"), Buffer.alloc(4 * MIB, 1), { flag: "r+" });
    await large.close();
    const small = await openPool(folder.path, bytes(2 * MIB));
    const four = bytes(4 * MIB);
    expect(await must(small.poolUsage())).toMatchObject({ size: four, allocated: four, free: 0n });
    await small.close();
  });
});

describe("an embedded pool", () => {
  test("answers and ends as the pool in memory does, and is the same when it is opened again", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(calls, { maxLength: 25 }), async (sequence) => {
        using folder = scratchFolder();
        const path = join(folder.path, "pool");
        const model: MemoryZfs = createMemoryZfs(POOL, PLENTY);
        let zfs = await openPool(path);
        try {
          for (const call of sequence) {
            const [expected, got] = [await run(model, call), await run(zfs, call)];
            const answerOf = (outcome: Outcome<Changed>) =>
              outcome.ok ? "ok" : [outcome.failure.code, outcome.failure.message];
            if (!expected.ok && expected.failure.code === "command.failed") {
              expect(got).toMatchObject({ ok: false, failure: { code: "command.failed" } });
            } else expect([call, answerOf(got)]).toEqual([call, answerOf(expected)]);
          }
          const before = await shown(zfs);
          expect(before).toEqual(await shown(model));
          await expectTidy(zfs, path);
          await zfs.close();
          zfs = await openPool(path);
          expect(await shown(zfs)).toEqual(before);
          await expectTidy(zfs, path);
        } finally {
          await zfs.close();
        }
      }),
      { numRuns: 60 },
    );
  });

  test("gives a volume another size: what is new reads as zeros, and what was cut off does not come back", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.createVolume(dataset("tank/v"), bytes(4 * MIB)));
    await write(zfs, "tank/v", 4 * MIB - 4, "last");
    await must(zfs.resize(dataset("tank/v"), bytes(8 * MIB)));
    expect(await read(zfs, "tank/v", 4 * MIB - 4, 8)).toBe("last\0\0\0\0");
    await must(zfs.resize(dataset("tank/v"), bytes(2 * MIB)));
    // As a crash between the commit and the cut leaves it.
    await write(zfs, "tank/v", 3 * MIB, "old");
    await must(zfs.resize(dataset("tank/v"), bytes(8 * MIB)));
    expect(await read(zfs, "tank/v", 3 * MIB, 3)).toBe("\0\0\0");
    await expectTidy(zfs, folder.path);
    await zfs.close();
  });

  test("lets a thick volume grow within the quota only, by a rollback too, and then it is as before", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path, bytes(16 * MIB));
    const noSpace = { failure: { code: "pool.no_space" } };
    await must(zfs.createVolume(dataset("tank/v"), bytes(12 * MIB)));
    expect(await zfs.resize(dataset("tank/v"), bytes(17 * MIB))).toMatchObject(noSpace);
    await must(zfs.snapshot(snapshot("tank/v@s"), false));
    await must(zfs.resize(dataset("tank/v"), bytes(4 * MIB)));
    await must(zfs.createVolume(dataset("tank/w"), bytes(8 * MIB)));
    expect(await zfs.resize(dataset("tank/v"), bytes(9 * MIB))).toMatchObject(noSpace);
    expect(await zfs.rollback(snapshot("tank/v@s"), false)).toMatchObject(noSpace);
    await expectTidy(zfs, folder.path);
    await must(zfs.destroy(dataset("tank/w"), false));
    await must(zfs.rollback(snapshot("tank/v@s"), false));
    expect(await must(zfs.find(dataset("tank/v")))).toMatchObject({ volsize: BigInt(12 * MIB) });
    await expectTidy(zfs, folder.path);
    await zfs.close();
  });

  test("keeps what is in a volume in its snapshots and clones, and gives it back", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.createVolume(dataset("tank/v"), bytes(4 * MIB)));
    await write(zfs, "tank/v", 3 * MIB, "first");
    await must(zfs.snapshot(snapshot("tank/v@1"), false));
    await write(zfs, "tank/v", 3 * MIB, "other");
    await must(zfs.clone(snapshot("tank/v@1"), dataset("tank/g/clone")));
    expect(await read(zfs, "tank/g/clone", 3 * MIB, 5)).toBe("first");
    await write(zfs, "tank/g/clone", 0, "mine");
    expect(await read(zfs, "tank/v", 0, 4)).toBe("\0\0\0\0");
    expect(await read(zfs, "tank/v", 3 * MIB, 5)).toBe("other");
    await must(zfs.rollback(snapshot("tank/v@1"), false));
    expect(await read(zfs, "tank/v", 3 * MIB, 5)).toBe("first");
    await must(zfs.rename(dataset("tank/g/clone"), dataset("tank/moved")));
    expect(await read(zfs, "tank/moved", 0, 4)).toBe("mine");
    await expectTidy(zfs, folder.path);
    await zfs.close();
  });

  test("a rollback behind a newer snapshot with a clone says whose clone it is, as OpenZFS's does", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.createVolume(dataset("tank/v"), bytes(MIB)));
    for (const tag of ["1", "2"]) await must(zfs.snapshot(snapshot(`tank/v@${tag}`), false));
    await must(zfs.clone(snapshot("tank/v@2"), dataset("tank/c")));
    expect(await zfs.rollback(snapshot("tank/v@1"), true)).toMatchObject({
      failure: {
        code: "dataset.has_clones",
        message: "snapshots newer than tank/v@1 have clones: tank/c",
      },
    });
    await zfs.close();
  });

  test("reports how much more a snapshot holds than the one before", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.createVolume(dataset("tank/v"), bytes(8 * MIB)));
    const written = async (tag: string) => {
      await must(zfs.snapshot(snapshot(`tank/v@${tag}`), false));
      return (await must(zfs.find(snapshot(`tank/v@${tag}`))))?.written;
    };
    expect(await written("empty")).toBe(0n);
    await write(zfs, "tank/v", 0, "x".repeat(2 * MIB));
    expect(await written("two")).toBe(bytes(2 * MIB));
    expect(await written("same")).toBe(0n);
    await zfs.close();
  });

  test("a copy leaves out what is zero", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.createVolume(dataset("tank/v"), bytes(512 * MIB)));
    await write(zfs, "tank/v", 300 * MIB, "x");
    await must(zfs.snapshot(snapshot("tank/v@s"), false));
    const used = execFileSync("du", ["-s", "--block-size=1", join(folder.path, "volumes")], {
      encoding: "utf8",
    });
    expect(Number.parseInt(used, 10)).toBeLessThan(MIB);
    await zfs.close();
  });

  test("a thick volume keeps its room, a clone promises it, and no more is given than there is", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path, bytes(10 * MIB));
    const room = async () => must(zfs.space(dataset("tank/guests")));
    expect(await room()).toEqual({ available: 10n * BigInt(MIB), promised: 0n });
    await must(zfs.createVolume(dataset("tank/v"), bytes(6 * MIB)));
    expect(await room()).toEqual({ available: 4n * BigInt(MIB), promised: 0n });
    const refused = { ok: false, failure: { code: "pool.no_space", message: "no space left on device" } };
    expect(await zfs.createVolume(dataset("tank/w"), bytes(5 * MIB))).toMatchObject(refused);
    await write(zfs, "tank/v", 0, "x".repeat(3 * MIB));
    expect((await room()).available).toBe(4n * BigInt(MIB));
    await must(zfs.snapshot(snapshot("tank/v@s"), false));
    expect((await room()).available).toBe(BigInt(MIB));
    expect(await zfs.snapshot(snapshot("tank/v@t"), false)).toMatchObject(refused);
    expect(await zfs.clone(snapshot("tank/v@s"), dataset("tank/c"))).toMatchObject(refused);
    await expectTidy(zfs, folder.path);
    await must(zfs.destroy(snapshot("tank/v@s"), false));
    await must(zfs.snapshot(snapshot("tank/v@s"), false));
    await zfs.close();
  });

  test("is kept from a second daemon", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    const second = await openEmbeddedZfs({ name: POOL, driver: "embedded", folder: folder.path }, quiet);
    expect(second).toMatchObject({
      failure: { code: "pool.unavailable", message: expect.stringContaining("another imagestore") },
    });
    await zfs.close();
  });

  test("is not made of a folder that holds other files, nor of another pool, nor below a file", async () => {
    using folder = scratchFolder();
    const open = (path: string, pool = POOL) =>
      openEmbeddedZfs({ name: pool, driver: "embedded", folder: path }, quiet);
    const others = join(folder.path, "others");
    mkdirSync(others);
    writeFileSync(join(others, "letter.txt"), "x");
    expect(await open(others)).toMatchObject({ failure: { code: "pool.not_found" } });
    expect(readdirSync(others)).toEqual(["letter.txt"]);
    expect(await open(join(others, "letter.txt", "pool"))).toMatchObject({ ok: false });
    const path = join(folder.path, "pool");
    await (await openPool(path)).close();
    expect(await open(path, "dozer" as PoolName)).toMatchObject({
      failure: { code: "pool.not_found", message: "the folder's pool is called tank, not dozer" },
    });
  });

  test("is unavailable when its catalog holds what no version writes, and names the column", async () => {
    using folder = scratchFolder();
    const zfs = await openPool(folder.path);
    await must(zfs.createVolume(dataset("tank/v"), bytes(MIB)));
    await zfs.close();
    for (const [column, bad, good] of [
      ["type", "snapshot", "volume"],
      ["volsize", "-1", String(MIB)],
      ["properties", '{"a":1}', "{}"],
      ["properties", "null", "{}"],
      ["properties", "{", "{}"],
    ] as const) {
      await changeCatalog(folder.path, column, bad);
      const opened = await openEmbeddedZfs({ name: POOL, driver: "embedded", folder: folder.path }, quiet);
      expect(opened).toMatchObject({
        failure: { code: "pool.unavailable", message: expect.stringContaining(`a bad ${column}: `) },
      });
      await changeCatalog(folder.path, column, good);
    }
    await (await openPool(folder.path)).close();
  });

  test("killed at any moment, it has every change that was answered, and no leftovers", async () => {
    using folder = scratchFolder();
    for (const delayMs of [60, 150, 240, 330, 420, 510]) {
      const acknowledged = await churn(folder.path, delayMs);
      const zfs = await openPool(folder.path);
      for (const [name, { made, gone }] of acknowledged) {
        const there = async (round: number) =>
          (await must(zfs.find(dataset(`tank/${name}/${round}`)))) !== undefined;
        expect(await there(made)).toBe(true);
        for (let round = 0; round <= gone; round++) expect(await there(round)).toBe(false);
        expect(await read(zfs, `tank/${name}/${made}`, 0, 1)).toBe("\0");
      }
      for (const { name, volsize } of await must(zfs.listVolumes())) {
        // A file may be too long, until the size of its volume is set again.
        expect(statSync(device(zfs, name)).size).toBeGreaterThanOrEqual(Number(volsize));
        await must(zfs.resize(name as DatasetName, volsize));
      }
      await expectTidy(zfs, folder.path);
      for (const name of ["a", "b", "c", "d"]) {
        for (const each of (await must(zfs.listVolumes())).filter((info) => info.name.endsWith("-clone"))) {
          await must(zfs.destroy(each.name as DatasetName, true));
        }
        const root = dataset(`tank/${name}`);
        if (await must(zfs.find(root))) await must(zfs.destroy(root, true));
      }
      expect(readdirSync(join(folder.path, "volumes"))).toEqual([]);
      await zfs.close();
    }
  });

  test("a full disk refuses, keeps what there is, and works again when there is room", async (context) => {
    using folder = scratchFolder();
    const path = join(folder.path, "small");
    mkdirSync(path);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=10m", "tmpfs", path]);
    if (mounted.status !== 0)
      return context.skip(`no small file system can be mounted here: ${mounted.stderr}`);
    try {
      const zfs = await openPool(join(path, "pool"), PLENTY);
      await must(zfs.createVolume(dataset("tank/v"), bytes(4 * MIB)));
      await write(zfs, "tank/v", 0, "x".repeat(3 * MIB));
      await must(zfs.snapshot(snapshot("tank/v@1"), false));
      const before = await shown(zfs);
      expect(await zfs.snapshot(snapshot("tank/v@2"), false)).toMatchObject({
        failure: { code: "pool.no_space" },
      });
      // Fills the disk to the last byte.
      spawnSync("dd", ["if=/dev/zero", `of=${join(path, "rest")}`, "bs=4096"]);
      let outcome: Outcome<null> = { ok: true, value: null };
      // The log of SQLite has some room left from before.
      for (let index = 0; outcome.ok && index < 10_000; index++) {
        outcome = await zfs.ensureFilesystem(dataset(`tank/more-${index}`));
        if (outcome.ok) await must(zfs.destroy(dataset(`tank/more-${index}`), false));
      }
      expect(outcome).toMatchObject({ failure: { code: "pool.no_space" } });
      expect(await shown(zfs)).toEqual(before);
      rmSync(join(path, "rest"));
      await must(zfs.destroy(snapshot("tank/v@1"), false));
      await must(zfs.snapshot(snapshot("tank/v@2"), false));
      expect(await read(zfs, "tank/v", 0, 3)).toBe("xxx");
      await zfs.close();
    } finally {
      spawnSync("umount", ["-l", path]);
    }
  });
});

/** Sets a column of the volume in the catalog of a pool that is closed. */
async function changeCatalog(folder: string, column: string, value: string): Promise<void> {
  const database = await openSqlite(join(folder, "pool.db"));
  await database.run(`UPDATE datasets SET ${column} = ? WHERE name = 'tank/v'`, value);
  await database.close();
}

/** Has another process change the pool and kills it. @returns the last answered rounds of each chain. */
async function churn(folder: string, delayMs: number): Promise<Map<string, { made: number; gone: number }>> {
  const child = spawn(process.execPath, [CHURN, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const acknowledged = new Map<string, { made: number; gone: number }>();
  let text = "";
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.stdout.on("data", (chunk: Buffer) => {
    if (text === "") setTimeout(() => child.kill("SIGKILL"), delayMs);
    text += chunk.toString();
  });
  await closed;
  for (const [, what, name = "", round] of text.matchAll(/^(made|gone) (\w) (\d+)\n/gm)) {
    const rounds = acknowledged.get(name) ?? { made: 0, gone: -1 };
    acknowledged.set(name, { ...rounds, [what as "made" | "gone"]: Number(round) });
  }
  expect(acknowledged.size).toBeGreaterThan(0);
  return acknowledged;
}
