import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import type { Zfs } from "../../../../../src/workers/drivers/driver.js";
import { type CatalogChange, openCatalog } from "../../../../../src/workers/drivers/embedded/catalog.js";
import { newVolume } from "../../../../../src/workers/drivers/embedded/dataset-rules.js";
import { openEmbeddedZfs } from "../../../../../src/workers/drivers/embedded/embedded-driver.js";
import { openSqlite } from "../../../../../src/workers/sqlite/open-sqlite.js";
import { createKeptLog, scratchFolder } from "../../../../support/memory-actor.js";
import { mustSucceed as must } from "../../../../support/outcomes.js";
import { until } from "../../../../support/until.js";

const POOL = "tank" as PoolName;
const MIB = 1_048_576;
const dataset = (name: string) => name as DatasetName;
const snapshot = (name: string) => name as SnapshotName;

function openPool(folder: string, recover = false) {
  const log = createKeptLog();
  const opened = openEmbeddedZfs({ name: POOL, driver: "embedded", folder, recover }, log);
  return { opened, log };
}

/** A pool with three volumes, each with data of its own, and a snapshot of each; closed. */
async function makePool(folder: string): Promise<void> {
  const zfs = await must(openPool(folder).opened);
  for (const name of ["a", "b", "c"]) {
    await must(zfs.createVolume(dataset(`tank/${name}`), bytes(MIB)));
    writeFileSync(join(zfs.devices, "tank", name), name.repeat(1000), { flag: "r+" });
    await must(zfs.snapshot(snapshot(`tank/${name}@s`), false));
  }
  await zfs.close();
}

/** The first characters of every file with data, in whichever folder it is. */
function dataIn(folder: string, ...folders: string[]): string[] {
  return folders
    .flatMap((each) =>
      existsSync(join(folder, each))
        ? readdirSync(join(folder, each)).map((file) => join(folder, each, file))
        : [],
    )
    .map((path) => readFileSync(path, "latin1").slice(0, 3))
    .sort();
}

const ALL = ["aaa", "aaa", "bbb", "bbb", "ccc", "ccc"];

async function sql(folder: string, statement: string): Promise<void> {
  const database = await openSqlite(join(folder, "pool.db"));
  await database.run(statement);
  await database.close();
}

const catalogPath = (folder: string) => join(folder, "pool.db");

function rewrite(folder: string, change: (content: Buffer) => Buffer): void {
  writeFileSync(catalogPath(folder), change(readFileSync(catalogPath(folder))));
}

/** What may happen to a catalog while its daemon does not run, and what is said about it. */
const DAMAGE = [
  ["is empty", "is empty", (folder: string) => writeFileSync(catalogPath(folder), "")],
  ["is gone", "is missing", (folder: string) => rmSync(catalogPath(folder))],
  ["has lost its datasets", "is empty", (folder: string) => sql(folder, "DELETE FROM datasets")],
  [
    "has lost most of its datasets",
    "knows 2 files with data, and there are 4 others",
    (folder: string) => sql(folder, "DELETE FROM datasets WHERE name NOT IN ('tank', 'tank/a', 'tank/a@s')"),
  ],
  ["is cut off", "is damaged", (folder: string) => rewrite(folder, (all) => all.subarray(0, 9000))],
  [
    "is cut off in its header",
    "is damaged",
    (folder: string) => rewrite(folder, (all) => all.subarray(0, 60)),
  ],
  ["has another header", "is damaged", (folder: string) => rewrite(folder, (all) => all.fill("x", 0, 100))],
  ["is all zeros", "is damaged", (folder: string) => rewrite(folder, (all) => all.fill(0))],
  [
    "has pages of something else",
    "is damaged",
    (folder: string) => rewrite(folder, (all) => all.fill("x", 4096)),
  ],
] as const;

const READY_LINE = /files that the catalog did not know are kept in .*lost: \d+$/;

describe("a catalog that", () => {
  test.each(DAMAGE)("%s opens nothing and deletes nothing, and says what to do", async (_, said, damage) => {
    using folder = scratchFolder();
    await makePool(folder.path);
    await damage(folder.path);
    for (let start = 0; start < 2; start++) {
      const opened = await openPool(folder.path).opened;
      if (opened.ok) throw new Error("it opened");
      expect(opened.failure.code).toBe("pool.unavailable");
      const { message } = opened.failure;
      expect(message).toContain(`the catalog of pool tank, ${catalogPath(folder.path)}, ${said}`);
      expect(message).toContain(`takes the backup ${join(folder.path, "pool.backup.db")} (7 datasets, `);
      expect(message).toContain("imagestore serve --recover");
      expect(message).toContain(join(folder.path, "lost"));
      expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    }
  });

  test.each(DAMAGE)("%s comes back from its backup with `recover`", async (_, __, damage) => {
    using folder = scratchFolder();
    await makePool(folder.path);
    await damage(folder.path);
    const { opened } = openPool(folder.path, true);
    const zfs = await must(opened);
    expect((await must(zfs.listVolumes())).map(({ name }) => name)).toEqual(["tank/a", "tank/b", "tank/c"]);
    expect((await must(zfs.listSnapshots(POOL))).map(({ name }) => name)).toEqual([
      "tank/a@s",
      "tank/b@s",
      "tank/c@s",
    ]);
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    expect(await zfs.notices()).toEqual([]);
    await zfs.close();
    const kept = readdirSync(folder.path).filter((name) => /^pool\.backup\.db\.kept-\d+$/.test(name));
    expect(kept).toHaveLength(1);
    await (await must(openPool(folder.path).opened)).close();
  });

  test.each(DAMAGE)(
    "%s and has no backup is opened with `recover`, and what it does not know is set aside whole",
    async (_, __, damage) => {
      using folder = scratchFolder();
      await makePool(folder.path);
      rmSync(join(folder.path, "pool.backup.db"));
      await damage(folder.path);
      expect(await openPool(folder.path).opened).toMatchObject({
        failure: { message: expect.stringContaining("begins a new one, since there is no good backup") },
      });
      const { opened, log } = openPool(folder.path, true);
      const zfs = await must(opened);
      expect(dataIn(folder.path, "volumes", "lost")).toEqual(ALL);
      expect(dataIn(folder.path, "lost").length).toBeGreaterThanOrEqual(4);
      expect(await zfs.notices()).toEqual([expect.stringMatching(READY_LINE)]);
      expect(log.lines).toContainEqual(
        expect.objectContaining({ level: "error", message: expect.stringMatching(READY_LINE) }),
      );
      await must(zfs.createVolume(dataset("tank/new"), bytes(MIB)));
      await zfs.close();
      await (await must(openPool(folder.path).opened)).close();
      expect(dataIn(folder.path, "lost").length).toBeGreaterThanOrEqual(4);
    },
  );

  test("has any of its bytes changed never costs a file, with `recover` and without", async () => {
    using folder = scratchFolder();
    const original = join(folder.path, "original");
    await makePool(original);
    const size = readFileSync(catalogPath(original)).length;
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(size - 1), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.boolean(),
        async (flips, hasBackup) => {
          const path = join(folder.path, `copy-${round++}`);
          cpSync(original, path, { recursive: true, verbatimSymlinks: true });
          if (!hasBackup) rmSync(join(path, "pool.backup.db"));
          rewrite(path, (all) => {
            for (const [at, by] of flips) all.writeUInt8((all.readUInt8(at) + by) % 256, at);
            return all;
          });
          for (const recover of [false, true]) {
            const opened = await openPool(path, recover).opened;
            if (opened.ok) await opened.value.close();
            expect(dataIn(path, "volumes", "lost")).toEqual(ALL);
          }
          rmSync(path, { recursive: true });
        },
      ),
      { numRuns: 60 },
    );
  });

  test("was written by a newer version is refused as such, and stays as it is", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    await sql(folder.path, "PRAGMA user_version = 7");
    const before = readFileSync(catalogPath(folder.path));
    for (const recover of [false, true]) {
      expect(await openPool(folder.path, recover).opened).toMatchObject({
        failure: {
          code: "pool.unavailable",
          message: expect.stringMatching(/newer imagestore: its version is 7, .* knows versions up to 1/),
        },
      });
      expect(readFileSync(catalogPath(folder.path)).equals(before)).toBe(true);
    }
  });

  test("is of a time before versions gets the version, keeps its datasets, and others can't read it", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    const paths = [
      catalogPath(folder.path),
      ...readdirSync(join(folder.path, "volumes")).map((file) => join(folder.path, "volumes", file)),
    ];
    for (const path of paths) chmodSync(path, 0o644);
    await sql(folder.path, "PRAGMA user_version = 0");
    await sql(folder.path, "DROP TABLE discarded");
    await sql(folder.path, "DELETE FROM facts");
    const zfs = await must(openPool(folder.path).opened);
    expect(await must(zfs.listVolumes())).toHaveLength(3);
    for (const path of paths) expect(statSync(path).mode & 0o777).toBe(0o600);
    await zfs.close();
    const database = await openSqlite(catalogPath(folder.path));
    expect(await database.all("PRAGMA user_version")).toEqual([{ user_version: 1 }]);
    await database.close();
  });

  test("lost its last changes with its journal deletes none of their files", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    const before = readFileSync(join(folder.path, "pool.db"));
    const zfs = await must(openPool(folder.path).opened);
    await must(zfs.createVolume(dataset("tank/d"), bytes(MIB)));
    writeFileSync(join(zfs.devices, "tank", "d"), "ddd", { flag: "r+" });
    await zfs.close();
    for (const suffix of ["-wal", "-shm"]) rmSync(join(folder.path, `pool.db${suffix}`), { force: true });
    writeFileSync(join(folder.path, "pool.db"), before);
    const { opened, log } = openPool(folder.path);
    const reopened = await must(opened);
    expect(await must(reopened.find(dataset("tank/d")))).toBeUndefined();
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    expect(dataIn(folder.path, "lost")).toEqual(["ddd"]);
    expect(log.lines.map(({ message }) => message)).toContain(
      "files that the catalog does not know are set aside",
    );
    await reopened.close();
  });
});

describe("the note of discarded files", () => {
  test("never names a file that another dataset uses", async () => {
    using folder = scratchFolder();
    const catalog = await openCatalog(join(folder.path, "pool.db"), createKeptLog());
    const commit = (change: CatalogChange) => {
      catalog.stage(change);
      return catalog.commit();
    };
    const a = newVolume(catalog, dataset("tank/a"), { file: "shared" });
    const b = newVolume(catalog, dataset("tank/b"), { file: "shared" });
    await commit({ put: [a, b] });
    expect(catalog.isDiscarded("shared")).toBe(false);
    // As a rollback does: the volume gets a new file, its snapshot keeps the old one.
    await commit({ put: [{ ...a, file: "fresh" }] });
    expect(catalog.isDiscarded("shared")).toBe(false);
    await commit({ remove: [b], put: [newVolume(catalog, dataset("tank/c"), { file: "shared" })] });
    expect(catalog.isDiscarded("shared")).toBe(false);
    const c = catalog.find("tank/c");
    if (!c) throw new Error("no tank/c");
    await commit({ remove: [c] });
    expect([catalog.isDiscarded("shared"), catalog.isDiscarded("fresh")]).toEqual([true, false]);
    await catalog.close();
  });
});

describe("the catalog of an open pool", () => {
  test("has every change in its file soon, so that a lost journal costs little", async () => {
    using folder = scratchFolder();
    const zfs = await must(openPool(folder.path).opened);
    await must(zfs.createVolume(dataset("tank/a"), bytes(MIB)));
    await until("the journal is emptied", () => statSync(`${catalogPath(folder.path)}-wal`).size === 0);
    // As after a crash: the file alone, without its journal.
    const copy = join(folder.path, "copy.db");
    copyFileSync(catalogPath(folder.path), copy);
    const database = await openSqlite(copy);
    expect(await database.all("SELECT name FROM datasets WHERE type = 'volume'")).toEqual([
      { name: "tank/a" },
    ]);
    await database.close();
    await zfs.close();
  });

  test("is backed up when it is closed, and not when nothing has changed", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    const backup = join(folder.path, "pool.backup.db");
    const before = statSync(backup, { bigint: true });
    const zfs = await must(openPool(folder.path).opened);
    await zfs.close();
    expect(statSync(backup, { bigint: true }).ino).toBe(before.ino);
    const again = await must(openPool(folder.path).opened);
    await must(again.createVolume(dataset("tank/d"), bytes(MIB)));
    await again.close();
    const database = await openSqlite(backup);
    expect(await database.all("SELECT name FROM datasets WHERE name = 'tank/d'")).toEqual([
      { name: "tank/d" },
    ]);
    await database.close();
  });

  test("says which data is missing, and lets those datasets be destroyed", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    for (const file of readdirSync(join(folder.path, "volumes"))) {
      if (readFileSync(join(folder.path, "volumes", file), "latin1").startsWith("bbb")) {
        rmSync(join(folder.path, "volumes", file));
      }
    }
    const { opened, log } = openPool(folder.path);
    const zfs = await must(opened);
    const notice = "the data of 2 datasets is missing: tank/b, tank/b@s";
    expect(await zfs.notices()).toEqual([notice]);
    expect(log.lines).toContainEqual({ level: "error", message: notice, fields: { pool: "tank" } });
    await must(zfs.destroy(dataset("tank/b"), true));
    await zfs.close();
    const reopened = await must(openPool(folder.path).opened);
    expect(await reopened.notices()).toEqual([]);
    await reopened.close();
  });

  test("never gives out an id or a transaction group again, not after a restart nor from a backup", async () => {
    using folder = scratchFolder();
    const seen = new Set<bigint>();
    const makeAndDestroy = async (recover = false) => {
      const zfs = await must(openPool(folder.path, recover).opened);
      await must(zfs.createVolume(dataset("tank/v"), bytes(MIB)));
      const [info] = await must(zfs.listVolumes());
      expect(seen).not.toContain(info?.createtxg);
      seen.add(info?.createtxg ?? 0n);
      await must(zfs.destroy(dataset("tank/v"), true));
      await zfs.close();
    };
    for (let start = 0; start < 3; start++) await makeAndDestroy();
    const old = readFileSync(join(folder.path, "pool.backup.db"));
    await makeAndDestroy();
    writeFileSync(join(folder.path, "pool.backup.db"), old);
    rmSync(catalogPath(folder.path));
    await makeAndDestroy(true);
    expect(seen.size).toBe(5);
  });
});

describe("a start after a crash", () => {
  const fileOf = (zfs: Zfs, name: string) =>
    readFileSync(join(zfs.devices, "tank", name), "latin1").slice(0, 3);

  test("publishes the file of a volume whose commit is on the disk", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    for (const file of readdirSync(join(folder.path, "volumes"))) {
      renameSync(join(folder.path, "volumes", file), join(folder.path, "incoming", file));
    }
    const zfs = await must(openPool(folder.path).opened);
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    expect(readdirSync(join(folder.path, "incoming"))).toEqual([]);
    expect(["a", "b", "c"].map((name) => fileOf(zfs, name))).toEqual(["aaa", "bbb", "ccc"]);
    await zfs.close();
  });

  test("deletes new files that were never committed, and what was being received", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    writeFileSync(join(folder.path, "incoming", "half-a-copy"), "x");
    mkdirSync(join(folder.path, "incoming", "a-stream"));
    writeFileSync(join(folder.path, "incoming", "a-stream", "disk"), "x");
    const zfs = await must(openPool(folder.path).opened);
    expect(readdirSync(join(folder.path, "incoming"))).toEqual([]);
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    expect(existsSync(join(folder.path, "lost"))).toBe(false);
    await zfs.close();
  });

  test("deletes the files that a commit discarded, and only once", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    const [file = ""] = readdirSync(join(folder.path, "volumes"));
    await sql(folder.path, `DELETE FROM datasets WHERE file = '${file}'`);
    await sql(folder.path, `INSERT INTO discarded VALUES ('${file}')`);
    const { opened, log } = openPool(folder.path);
    const zfs = await must(opened);
    expect(readdirSync(join(folder.path, "volumes"))).not.toContain(file);
    expect(log.lines.find(({ message }) => message === "files that a crash left are removed")).toMatchObject({
      fields: { files: 1 },
    });
    await must(zfs.createVolume(dataset("tank/e"), bytes(MIB)));
    await zfs.close();
    const database = await openSqlite(join(folder.path, "pool.db"));
    expect(await database.all("SELECT * FROM discarded")).toEqual([]);
    await database.close();
  });

  test("keeps a discarded file that another dataset uses", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    for (const file of readdirSync(join(folder.path, "volumes"))) {
      await sql(folder.path, `INSERT INTO discarded VALUES ('${file}')`);
    }
    const zfs = await must(openPool(folder.path).opened);
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    await zfs.close();
  });

  test("sets aside a file that somebody put there, each time", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    writeFileSync(join(folder.path, "volumes", "letter.txt"), "dear");
    await (await must(openPool(folder.path).opened)).close();
    expect(readdirSync(join(folder.path, "lost"))).toEqual(["letter.txt"]);
    writeFileSync(join(folder.path, "volumes", "letter.txt"), "john");
    writeFileSync(join(folder.path, "zvol", "tank", "letter.txt"), "doe");
    const zfs = await must(openPool(folder.path).opened);
    expect(dataIn(folder.path, "lost")).toEqual(["dea", "doe", "joh"]);
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    expect(await zfs.notices()).toEqual([expect.stringMatching(/^files .*lost: 3$/)]);
    await zfs.close();
  });

  test("with `recover` keeps new files too, since a damaged catalog may have known them", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    writeFileSync(join(folder.path, "incoming", "a-file"), "eee");
    const zfs = await must(openPool(folder.path, true).opened);
    expect(dataIn(folder.path, "lost")).toEqual(["eee"]);
    await zfs.close();
  });
});
