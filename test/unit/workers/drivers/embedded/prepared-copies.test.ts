import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { DatasetName, PoolName, SnapshotName } from "../../../../../src/protocol/storage/names.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";
import { embeddedChanges } from "../../../../../src/workers/drivers/embedded/changes.js";
import { openEmbeddedPool } from "../../../../../src/workers/drivers/embedded/embedded-pool.js";
import { prepareCopies } from "../../../../../src/workers/drivers/embedded/prepared-copies.js";
import { createKeptLog, scratchFolder } from "../../../../support/memory-actor.js";
import { mustSucceed as must } from "../../../../support/outcomes.js";

test("a bug in the middle of the copying leaves none of the copies", async () => {
  using folder = scratchFolder();
  const settings = { name: "tank" as PoolName, driver: "embedded", folder: folder.path } as const;
  const pool = await must(openEmbeddedPool(settings, createKeptLog()));
  const changes = embeddedChanges(pool);
  const volume = "tank/v" as DatasetName;
  const snapshot = "tank/v@s" as SnapshotName;
  await must(changes.createVolume(volume, bytes(1_048_576)));
  await must(changes.snapshot(snapshot, false));
  let copies = 0;
  const files: typeof pool.files = {
    ...pool.files,
    copy: async (from, to) => {
      if (++copies === 2) throw new TypeError("a bug");
      return pool.files.copy(from, to);
    },
  };
  const targets = ["tank/a", "tank/b"] as DatasetName[];
  const wanted = targets.map((target) => ({ clone: snapshot, target }));
  await expect(prepareCopies({ ...pool, files }, wanted)).rejects.toThrow("a bug");
  expect([copies, readdirSync(join(folder.path, "incoming"))]).toEqual([2, []]);
  await pool.catalog.close();
});
