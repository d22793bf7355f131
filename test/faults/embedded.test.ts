import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createEmbeddedPool } from "./embedded-pool.js";
import { optionsFrom, runSuite } from "./suite.js";

const options = optionsFrom(process.env, 2);
const QUOTA_BYTES = 2 ** 30;
/** For what runs when the time is over. */
const SPARE_MS = 180_000;

test(
  "no fault loses an acknowledged change, brings a deleted one back or leaves anything behind",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "imagestore-faults-"));
    const pool = createEmbeddedPool(folder, { quotaBytes: QUOTA_BYTES });
    expect((await runSuite(pool, options)).join("\n")).toBe("");
  },
  options.minutes * 60_000 + SPARE_MS,
);
