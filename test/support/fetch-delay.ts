import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DaemonProcess } from "./daemon.js";
import { must } from "./rpc.js";

/** Two pools of one kind for the test of changes beside a fetch. */
export interface DelayPools {
  /** The first has the fetch. The other shows how long the same changes take on a machine as busy as this one. */
  readonly pools: readonly [string, string];
  /** How long the fetch takes, if `FETCH_SECONDS` does not say so. */
  readonly fetchMs: number;
  /** Starts a daemon on both pools that fetches images from this port of 127.0.0.1. */
  start(imagePort: number): Promise<DaemonProcess>;
  /** Removes the pools. The daemon has stopped before. */
  remove(): void;
}

const MOST_DELAY_MS = 100;
/** How much longer than it should a fetch may take on a busy machine. */
const SPARE_MS = 100_000;
const IMAGE_MIB = 8;

/** Sends `bytes` at an even pace for `ms`. */
async function drip(response: ServerResponse, bytes: Buffer, ms: number): Promise<void> {
  const length = Math.ceil(bytes.length / Math.ceil(ms / 100));
  const pauseMs = ms / Math.ceil(bytes.length / length);
  for (let at = 0; at < bytes.length; at += length) {
    response.write(bytes.subarray(at, at + length));
    await sleep(pauseMs);
  }
  response.end();
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** The middle, the ninth of ten and the slowest, in ms. */
function summaryOf(times: readonly number[]): { count: number; median: number; p90: number; max: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => Math.round(quantile(sorted, share) * 10) / 10;
  return { count: sorted.length, median: at(0.5), p90: at(0.9), max: at(1) };
}

/** Tests that a long fetch holds up no change: not beside it, and not above it. */
export function describeFetchDelay({ pools, fetchMs, start, remove }: DelayPools): void {
  const lastsMs = process.env.FETCH_SECONDS ? Number(process.env.FETCH_SECONDS) * 1_000 : fetchMs;
  let service: Server;
  let daemon: DaemonProcess;
  let stream = Buffer.alloc(0);

  beforeAll(async () => {
    service = createServer((_, response) => void drip(response, stream, lastsMs));
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    daemon = await start((service.address() as AddressInfo).port);
    const { url } = daemon;
    for (const pool of pools) {
      await must(url, "CreateVolume", { pool, id: "seed", size: IMAGE_MIB });
      await must(url, "CreateSnapshot", { pool, id: "seed", dest: "s" });
    }
    const response = await fetch(`${url}/snapshots/download?id=${pools[0]}/seed@s`);
    stream = Buffer.from(await response.arrayBuffer());
  });
  afterAll(async () => {
    await daemon?.stop();
    service?.closeAllConnections();
    service?.close();
    remove();
  });

  /** The same changes of both pools in turn, of a volume and of everything above the fetch. @returns the times of each pool. */
  async function changeBoth(isOver: () => boolean): Promise<[number[], number[]]> {
    const times: [number[], number[]] = [[], []];
    for (let round = 0; !isOver(); round++) {
      const changes: readonly [method: string, id: string, params: object][] = [
        ["CreateSnapshot", "/seed", { dest: `v${round}` }],
        ["DeleteSnapshot", `/seed@v${round}`, {}],
        ["CreateSnapshot", "/images", { dest: `i${round}`, recursive: true }],
        ["DeleteSnapshot", `/images@i${round}`, { recursive: true }],
        ["CreateSnapshot", "", { dest: `p${round}`, recursive: true }],
        ["DeleteSnapshot", `@p${round}`, { recursive: true }],
      ];
      for (const [method, id, params] of changes) {
        const pair: [number, number] = [0, 0];
        // Neither pool is always the first.
        for (const index of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
          const startedAt = performance.now();
          await must(daemon.url, method, { ...params, id: pools[index] + id });
          pair[index] = performance.now() - startedAt;
        }
        // The fetch ended meanwhile.
        if (isOver()) return times;
        for (const index of [0, 1] as const) times[index].push(pair[index]);
      }
    }
    return times;
  }

  test(
    `a fetch of ${lastsMs / 1_000} s delays no change by more than ${MOST_DELAY_MS} ms`,
    async () => {
      let isFetched = false;
      const startedAt = performance.now();
      const fetching = must(daemon.url, "RequestImage", { pool: pools[0], id: "slow", type: "kvm" }).finally(
        () => {
          isFetched = true;
        },
      );
      const changing = changeBoth(() => isFetched);
      const all = Promise.all([changing, fetching]);
      const hung = sleep(lastsMs + SPARE_MS, undefined, { ref: false });
      if ((await Promise.race([all, hung])) === undefined) {
        const diagnosis = await fetch(`${daemon.url}/diagnose`).then((response) => response.text());
        throw new Error(`not fetched after ${lastsMs + SPARE_MS} ms\n${diagnosis}\n${daemon.log()}`);
      }
      const [[timesBeside, timesWithout]] = await all;
      expect(performance.now() - startedAt).toBeGreaterThan(lastsMs * 0.9);
      const [beside, without] = [summaryOf(timesBeside), summaryOf(timesWithout)];
      process.stdout.write(
        `changes beside a fetch of ${lastsMs / 1_000} s: ${JSON.stringify(beside)} ms; without: ${JSON.stringify(without)} ms\n`,
      );
      expect(beside.count).toBeGreaterThan(5);
      // A change that waited for the fetch would take most of its time.
      expect(beside.max - without.max).toBeLessThan(lastsMs / 2);
      // What the same changes differ by without a fetch is no delay by it.
      const spreadMs = without.max - without.median;
      expect(beside.median - without.median).toBeLessThan(MOST_DELAY_MS + spreadMs / 2);
      expect(beside.p90 - without.p90).toBeLessThan(MOST_DELAY_MS + spreadMs);
    },
    lastsMs + 2 * SPARE_MS,
  );
}
