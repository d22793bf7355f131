import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import type { Zfs } from "../../../../../src/workers/drivers/driver.js";
import { openCatalog } from "../../../../../src/workers/drivers/embedded/catalog.js";
import { newVolume } from "../../../../../src/workers/drivers/embedded/dataset-rules.js";
import { openEmbeddedZfs } from "../../../../../src/workers/drivers/embedded/embedded-driver.js";
import { openSqlite } from "../../../../../src/workers/sqlite/sqlite-file.js";
import { createKeptLog, scratchFolder } from "../../../../support/memory-actor.js";
import { mustSucceed as must } from "../../../../support/outcomes.js";

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

/** What may happen to a catalog while its daemon does not run. */
const DAMAGE = [
  ["is empty", (folder: string) => writeFileSync(join(folder, "pool.db"), "")],
  ["has lost its datasets", (folder: string) => sql(folder, "DELETE FROM datasets")],
  [
    "has lost most of its datasets",
    (folder: string) => sql(folder, "DELETE FROM datasets WHERE name NOT IN ('tank', 'tank/a', 'tank/a@s')"),
  ],
] as const;

describe("a catalog that", () => {
  test.each(DAMAGE)("%s opens nothing and deletes nothing, and says what to do", async (_, damage) => {
    using folder = scratchFolder();
    await makePool(folder.path);
    await damage(folder.path);
    for (let start = 0; start < 2; start++) {
      const opened = await openPool(folder.path).opened;
      expect(opened).toMatchObject({ failure: { code: "pool.unavailable" } });
      if (opened.ok) throw new Error("it opened");
      expect(opened.failure.message).toMatch(
        /the catalog of pool tank knows [02] files .* [46] others.*Restore pool\.db.*"recover": true.*lost/,
      );
      expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    }
  });

  test.each(DAMAGE)(
    "%s is opened with `recover`, and what it does not know is set aside whole",
    async (_, damage) => {
      using folder = scratchFolder();
      await makePool(folder.path);
      await damage(folder.path);
      const { opened, log } = openPool(folder.path, true);
      const zfs = await must(opened);
      expect(dataIn(folder.path, "volumes", "lost")).toEqual(ALL);
      expect(dataIn(folder.path, "lost").length).toBeGreaterThanOrEqual(4);
      const said = log.lines.find(
        ({ message }) => message === "files that the catalog does not know are set aside",
      );
      expect(said).toMatchObject({
        level: "error",
        fields: { pool: "tank", folder: join(folder.path, "lost") },
      });
      await must(zfs.createVolume(dataset("tank/new"), bytes(MIB)));
      await zfs.close();
      await (await must(openPool(folder.path).opened)).close();
      expect(dataIn(folder.path, "lost").length).toBeGreaterThanOrEqual(4);
    },
  );

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
    const catalog = await openCatalog(join(folder.path, "pool.db"));
    const a = newVolume(catalog, dataset("tank/a"), { file: "shared" });
    const b = newVolume(catalog, dataset("tank/b"), { file: "shared" });
    await catalog.commit({ put: [a, b] });
    expect(catalog.isDiscarded("shared")).toBe(false);
    // As a rollback does: the volume gets a new file, its snapshot keeps the old one.
    await catalog.commit({ put: [{ ...a, file: "fresh" }] });
    expect(catalog.isDiscarded("shared")).toBe(false);
    await catalog.commit({ remove: [b], put: [newVolume(catalog, dataset("tank/c"), { file: "shared" })] });
    expect(catalog.isDiscarded("shared")).toBe(false);
    const c = catalog.find("tank/c");
    if (!c) throw new Error("no tank/c");
    await catalog.commit({ remove: [c] });
    expect([catalog.isDiscarded("shared"), catalog.isDiscarded("fresh")]).toEqual([true, false]);
    await catalog.close();
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

  test("sets aside a file that somebody put there", async () => {
    using folder = scratchFolder();
    await makePool(folder.path);
    writeFileSync(join(folder.path, "volumes", "letter.txt"), "dear");
    const zfs = await must(openPool(folder.path).opened);
    expect(readdirSync(join(folder.path, "lost"))).toEqual(["letter.txt"]);
    expect(dataIn(folder.path, "volumes")).toEqual(ALL);
    await zfs.close();
  });
});
