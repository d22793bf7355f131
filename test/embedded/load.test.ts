import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { startInProcess } from "../support/in-process.js";
import { DATASETS, describeLoad, REQUESTS } from "../support/load.js";
import { must, type Snapshots } from "../support/rpc.js";

const POOL = "load";

describe(`${REQUESTS} concurrent mixed requests on ${DATASETS} datasets of an embedded pool`, () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  describeLoad({
    pool: POOL,
    start: () =>
      startInProcess({ pools: [{ name: POOL, driver: "embedded", folder: join(folder, "pool") }] }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
    snapshots: async (url) => {
      const { snapshots } = await must<Snapshots>(url, "ListSnapshots", {});
      return snapshots.map(({ id }) => id);
    },
  });
});
