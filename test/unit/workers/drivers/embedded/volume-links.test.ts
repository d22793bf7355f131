import { lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { DatasetName } from "../../../../../src/protocol/storage/names.js";
import { surveyLinks } from "../../../../../src/workers/drivers/embedded/pool-survey.js";
import { createVolumeLinks } from "../../../../../src/workers/drivers/embedded/volume-links.js";
import { scratchFolder } from "../../../../support/memory-actor.js";

const name = (text: string) => text as DatasetName;

test("a start keeps the links that are right, makes those that are missing, and removes the others", async () => {
  using folder = scratchFolder();
  const devices = join(folder.path, "zvol");
  const links = createVolumeLinks(devices, join(folder.path, "volumes"));
  for (const volume of ["tank/right", "tank/wrong", "tank/gone", "tank/was/below", "tank/kept/below"])
    await links.link(name(volume), volume.replaceAll("/", "-"));
  // A folder of volumes that are no more, where a volume is now.
  mkdirSync(join(devices, "tank/empty"));
  symlinkSync("nowhere", join(devices, "tank/strange~"));
  writeFileSync(join(devices, "tank/file"), "of another program");
  const aside: string[] = [];
  const before = lstatSync(join(devices, "tank/right")).ino;
  await links.settle(
    await surveyLinks(devices),
    [
      { name: name("tank/right"), file: "tank-right" },
      { name: name("tank/wrong"), file: "another" },
      { name: name("tank/was"), file: "now-a-volume" },
      { name: name("tank/empty"), file: "new" },
      { name: name("tank/kept/below"), file: "tank-kept-below" },
    ],
    async (path) => {
      aside.push(path);
      rmSync(path);
    },
  );
  expect(aside).toEqual([join(devices, "tank/file")]);
  const all = readdirSync(devices, { recursive: true, encoding: "utf8" }).sort();
  expect(all).toEqual([
    "tank",
    ...["empty", "kept", "kept/below", "right", "was", "wrong"].map((each) => `tank/${each}`),
  ]);
  expect(lstatSync(join(devices, "tank/right")).ino).toBe(before);
  expect(["wrong", "was", "empty"].map((each) => readlinkSync(join(devices, "tank", each)))).toEqual([
    "../../volumes/another",
    "../../volumes/now-a-volume",
    "../../volumes/new",
  ]);
});
