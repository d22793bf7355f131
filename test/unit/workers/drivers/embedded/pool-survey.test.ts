import { once } from "node:events";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { PoolName } from "../../../../../src/protocol/storage/names.js";
import { openCatalog } from "../../../../../src/workers/drivers/embedded/catalog.js";
import { openSoundCatalog } from "../../../../../src/workers/drivers/embedded/catalog-recovery.js";
import { surveyFiles, surveyLinks } from "../../../../../src/workers/drivers/embedded/pool-survey.js";
import { openVolumeFiles } from "../../../../../src/workers/drivers/embedded/volume-files.js";
import { createKeptLog, scratchFolder } from "../../../../support/memory-actor.js";

test("a survey tells links, folders, files and what else there is, at every depth", async () => {
  using folder = scratchFolder();
  const at = (path: string) => join(folder.path, path);
  mkdirSync(at("tank/guests/g"), { recursive: true });
  symlinkSync("../nowhere", at("tank/guests/g/disk"));
  symlinkSync("guests", at("tank/to-a-folder"));
  writeFileSync(at("tank/guests/file"), "of another program");
  await using server = createServer().listen(at("tank/socket"));
  await once(server, "listening");
  // More than one turn looks at.
  for (let index = 0; index < 300; index++) mkdirSync(at(`tank/many/${index}`), { recursive: true });
  const { targets, folders, files, others } = await surveyLinks(folder.path);
  expect([...targets].sort()).toEqual([
    [at("tank/guests/g/disk"), "../nowhere"],
    [at("tank/to-a-folder"), "guests"],
  ]);
  expect(files).toEqual([at("tank/guests/file")]);
  expect(others).toEqual([at("tank/socket")]);
  expect(folders).toHaveLength(304);
  expect(folders).toEqual(
    expect.arrayContaining(["tank", "tank/guests", "tank/guests/g", "tank/many"].map(at)),
  );
});

test("a survey tells what each file takes, and whether others may read it", async () => {
  using folder = scratchFolder();
  const modes = [0o600, 0o640, 0o604, 0o400, 0o4600];
  for (const mode of modes) {
    writeFileSync(join(folder.path, mode.toString(8)), Buffer.alloc(8192, 1));
    chmodSync(join(folder.path, mode.toString(8)), mode);
  }
  const found = await surveyFiles(folder.path);
  expect([...found].sort()).toEqual(
    modes.map((mode) => [mode.toString(8), { allocated: 8192, isPrivate: mode === 0o600 }]).sort(),
  );
});

test("the folders are looked at once, and not before the catalog is locked", async () => {
  using folder = scratchFolder();
  const pool = { name: "tank" as PoolName, driver: "embedded", folder: folder.path } as const;
  const files = await openVolumeFiles(folder.path);
  let surveys = 0;
  const survey = () => {
    surveys++;
    return files.survey();
  };
  const watched = { ...files, survey };
  const open = () => openSoundCatalog(pool, folder.path, watched, createKeptLog());
  const other = await openCatalog(join(folder.path, "pool.db"), createKeptLog());
  await expect(open()).rejects.toMatchObject({ code: "SQLITE_BUSY" });
  expect(surveys).toBe(0);
  await other.close();
  const opened = await open();
  if (!opened.ok) throw new Error(opened.failure.message);
  expect(surveys).toBe(1);
  await opened.value.catalog.close();
});
