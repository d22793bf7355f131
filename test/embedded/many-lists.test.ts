import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startDaemonProcess } from "../support/daemon.js";
import { makeManySnapshots } from "../support/many-snapshots.js";
import { transportNames } from "../support/transports.js";

const COUNT = 100_000;
const CLIENTS = 200;
const MIB = 1_048_576;
/** Each reply is 3.4 MiB. When each client had its own, the daemon grew by 740 MiB, compressed by 1,500. */
const GROWTH_BYTES = 350 * MIB;
/** When main wrote the lists, and sent all replies in one turn, others waited for up to 9 s. */
const SLOWEST_MS = 3_000;

describe("200 clients that list 100,000 snapshots at once", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  beforeAll(() => makeManySnapshots(join(folder, "pool"), COUNT), 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** @returns the bytes of the reply. */
  function list(url: string, id: number, headers: Record<string, string>): Promise<number> {
    return new Promise((resolve, reject) => {
      const options = {
        method: "POST",
        agent: false,
        headers: { "content-type": "application/json", ...headers },
      };
      request(`${url}/rpc`, options, (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.once("error", reject);
        response.once("end", () => resolve(bytes));
      })
        .once("error", reject)
        .end(JSON.stringify({ jsonrpc: "2.0", method: "ListSnapshots", id }));
    });
  }

  test.each([
    ...transportNames.map((name) => [name, {}] as const),
    [transportNames[0] ?? "node", { "accept-encoding": "gzip" }] as const,
  ])(
    "share its text, and stop nobody (%s, %o)",
    async (transport, headers) => {
      const daemon = await startDaemonProcess({
        listen: { port: 0, transport },
        pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
      });
      const rss = () => {
        const [, kib = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8")) ?? [];
        return Number(kib) * 1024;
      };
      try {
        const length = await list(daemon.url, 1_000, headers);
        const before = rss();
        let highest = before;
        const watch = setInterval(() => {
          highest = Math.max(highest, rss());
        }, 20);
        const probe = new Worker(new URL("../fixtures/health-probe.mjs", import.meta.url), {
          workerData: { url: daemon.url },
        });
        const lengths = await Promise.all(
          Array.from({ length: CLIENTS }, (_, index) => list(daemon.url, 1_001 + index, headers)),
        );
        probe.postMessage("end");
        const [slowestMs] = (await once(probe, "message")) as [number];
        clearInterval(watch);
        process.stderr.write(
          `${CLIENTS} lists: the slowest other answer took ${Math.round(slowestMs)} ms, RSS grew by ${Math.round((highest - before) / MIB)} MiB\n`,
        );
        // A compressed id may take a byte more or less.
        for (const each of lengths) expect(Math.abs(each - length)).toBeLessThan(16);
        expect(highest - before).toBeLessThan(GROWTH_BYTES);
        expect(slowestMs).toBeLessThan(SLOWEST_MS);
      } finally {
        expect(await daemon.stop()).toBe(0);
      }
    },
    300_000,
  );
});
