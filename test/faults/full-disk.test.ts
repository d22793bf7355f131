import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { openCampaign } from "./campaign.js";
import { createEmbeddedPool } from "./embedded-pool.js";
import { killDaemon } from "./outside-faults.js";
import { createSmallDisk } from "./small-disk.js";
import { optionsFrom, reportOf } from "./suite.js";

const MIB = 1024 * 1024;
const DISK_BYTES = 96 * MIB;
const ROUNDS = 16;
const FULL_MS = 500;

const disk = createSmallDisk(DISK_BYTES);
if (typeof disk === "string")
  process.stderr.write(`full disks are skipped, no file system to fill: ${disk}\n`);
afterAll(() => {
  if (typeof disk !== "string") disk.remove();
});

test.skipIf(typeof disk === "string")(
  "a full disk refuses changes, and loses and leaves nothing, also when the daemon is killed on it",
  async () => {
    if (typeof disk === "string") return;
    const options = optionsFrom({ FAULTS_SEED: process.env.FAULTS_SEED }, 1);
    const pool = createEmbeddedPool(join(disk.folder, "node"));
    const campaign = await openCampaign({ pool, seed: options.seed, clients: 5 });
    for (let round = 0; round < ROUNDS; round++) {
      await campaign.round({
        beforeMs: 300,
        afterMs: 200,
        restart: true,
        fault: async (underWay) => {
          disk.fill(underWay.random.pick([0, 0, 16 * 1024, 256 * 1024, MIB]));
          await sleep(FULL_MS);
          const isKilled = underWay.random.chance(0.5);
          if (isKilled) await killDaemon(underWay);
          disk.empty();
          return isKilled ? "SIGKILL on a full disk" : "full disk";
        },
      });
    }
    process.stdout.write(reportOf(campaign, options, "embedded on a small disk", ROUNDS));
    await campaign.close();
    expect(campaign.tally.violations).toEqual([]);
  },
  180_000,
);
