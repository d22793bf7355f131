import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startDaemonProcess } from "../support/daemon.js";
import { must } from "../support/rpc.js";
import { isOlderUws, transportNames } from "../support/transports.js";
import { MEMORY_FACTOR, runCampaign } from "./campaign.js";

const { env } = process;
const REQUESTS = Number(env.FUZZ_REQUESTS ?? 100_000);
const SEED = Number(env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const FIRST = Number(env.FUZZ_FIRST ?? 0);
const TRANSPORTS =
  env.FUZZ_TRANSPORT && env.FUZZ_TRANSPORT !== "both" ? [env.FUZZ_TRANSPORT] : transportNames;
const QUOTA_BYTES = 2 ** 30;
/** After so many the memory of the process is what it needs for its work. */
const WARM_UP = 20_000;
/**
 * V8 lets the young heap of each thread grow, long after the warm-up. A growth of memory that isn't
 * that must show (test/README.md has figures).
 */
const NODE_OPTIONS = "--max-semi-space-size=2";
/**
 * The longest time of each, which docs/decisions/uws.md tells, and some for a busy machine: the older
 * build of uWebSockets.js 12 s, the newer 32 s; node:http gives a head 60 s, and looks every 30 s; the
 * port for bulk downloads gives it 60 s.
 */
const IDLE_LIMIT_MS = { uws: isOlderUws ? 20_000 : 45_000, node: 110_000, bulk: 80_000 };

// At once, for most of the time goes by until requests that are never finished are given up.
test.concurrent.each(TRANSPORTS)(
  "random requests are answered, by %s, and leave nothing behind",
  async (transport) => {
    const folder = mkdtempSync(join(tmpdir(), "imagestore-fuzz-"));
    const config = {
      listen: { port: 0, transport, bulk: { port: 0 } },
      pools: [{ name: "tank", driver: "embedded", folder, quotaBytes: QUOTA_BYTES }],
      imageService: "127.0.0.1:1",
      images: { attempts: 1 },
      log: { level: "error" },
    };
    const daemon = await startDaemonProcess(config, { NODE_OPTIONS });
    try {
      const { problems, counts, seconds, rssMib, slowestEndMs } = await runCampaign(daemon, {
        requests: REQUESTS,
        seed: SEED,
        first: FIRST,
        idleLimitMs: {
          main: transport === "node" ? IDLE_LIMIT_MS.node : IDLE_LIMIT_MS.uws,
          bulk: IDLE_LIMIT_MS.bulk,
        },
        warmUp: WARM_UP,
      });
      const shown = [...counts].sort().map(([what, count]) => `${what} ${count}`);
      process.stdout.write(
        `fuzz: ${transport}, seed ${SEED}, ${REQUESTS} requests in ${seconds.toFixed(0)} s; ${shown.join(", ")}; ` +
          `RSS MiB ${rssMib.before} before, ${rssMib.end} at the end, ${rssMib.rested} rested; ` +
          `unfinished requests ended within ${(slowestEndMs.main / 1000).toFixed(0)} s, on the bulk port ${(slowestEndMs.bulk / 1000).toFixed(0)} s\n`,
      );
      expect(problems).toEqual([]);
      expect(daemon.process.exitCode).toBeNull();
      // An error is a bug, a crash of a thread or a part that was started again.
      expect(daemon.log()).toBe("");
      expect(rssMib.rested).toBeLessThanOrEqual(rssMib.before * MEMORY_FACTOR);
      await must(daemon.url, "ListVolumes", {});
    } finally {
      expect(await daemon.stop()).toBe(0);
      rmSync(folder, { recursive: true, force: true });
    }
  },
  300_000 + REQUESTS * 10,
);
