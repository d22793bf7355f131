import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { makeManySnapshots } from "../support/many-snapshots.js";
import { must, type Snapshots } from "../support/rpc.js";

const COUNT = 100_000;
const MIB = 1_048_576;
/** One list of all is some 4 MiB of text. 100 of them, one after another, took the daemon to 2.9 GB. */
const GROWTH_BYTES = 300 * MIB;
/** One list stops main for the time that it takes to unpack and to write it. A hundred took minutes. */
const SLOWEST_MS = 10_000;

interface Reply20 {
  readonly id: number;
  readonly result?: Snapshots;
  readonly error?: { readonly code: number; readonly message: string };
}

describe("a pool with 100,000 snapshots", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;

  beforeAll(async () => {
    await makeManySnapshots(join(folder, "pool"), COUNT);
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "pool") }],
      dataDir: join(folder, "records"),
    });
  }, 120_000);
  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    rmSync(folder, { recursive: true, force: true });
  });

  const rss = () => {
    const [, kib = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8")) ?? [];
    return Number(kib) * 1024;
  };

  /** Runs `work` beside a client that looks up a volume again and again. */
  async function beside<T>(work: () => Promise<T>): Promise<{ value: T; slowestMs: number; grown: number }> {
    const before = rss();
    let highest = before;
    let slowestMs = 0;
    let isDone = false;
    const watch = setInterval(() => {
      highest = Math.max(highest, rss());
    }, 20);
    const looking = (async () => {
      while (!isDone) {
        const startedAt = performance.now();
        await must(daemon.url, "GetVolume", { id: "v" });
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      }
    })();
    const value = await work();
    isDone = true;
    await looking;
    clearInterval(watch);
    return { value, slowestMs, grown: highest - before };
  }

  async function post<T>(body: object): Promise<T> {
    const response = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as T;
  }

  function tell(what: string, { slowestMs, grown }: { slowestMs: number; grown: number }): void {
    process.stderr.write(
      `${what}: the slowest other call took ${Math.round(slowestMs)} ms, RSS grew by ${Math.round(grown / MIB)} MiB\n`,
    );
    expect(grown).toBeLessThan(GROWTH_BYTES);
    expect(slowestMs).toBeLessThan(SLOWEST_MS);
  }

  test("all of them fit into one reply", async () => {
    const { result } = await post<Reply20>({ jsonrpc: "2.0", method: "ListSnapshots", id: 1 });
    expect(result?.snapshots.length).toBe(COUNT);
  });

  test("all of them come in pages, each for a part of the work", async () => {
    const page = (limit: number, after: string) =>
      must(daemon.url, "ListSnapshots", { id: "", limit, after }) as Promise<Snapshots>;
    const ids: string[] = [];
    const { value: sizes, ...seen } = await beside(async () => {
      const lengths: number[] = [];
      do {
        const { snapshots } = await page(9_999, ids.at(-1) ?? "");
        for (const { id } of snapshots) ids.push(id);
        lengths.push(snapshots.length);
      } while (lengths.at(-1) === 9_999);
      return lengths;
    });
    tell("all snapshots in 11 pages", seen);
    expect(sizes).toEqual([...Array(10).fill(9_999), COUNT - 99_990]);
    expect(new Set(ids).size).toBe(COUNT);
    expect(ids).toEqual([...ids].sort());
  });

  test("a batch that lists them a hundred times gets as many as the reply holds, and stops nobody", async () => {
    const list = (id: number) => ({ jsonrpc: "2.0", method: "ListSnapshots", id });
    const calls = Array.from({ length: 100 }, (_, id) => list(id));
    const { value: replies, ...seen } = await beside(() => post<readonly Reply20[]>(calls));
    tell("a batch of 100 lists", seen);
    expect(replies.length).toBe(100);
    const served = replies.filter(({ result }) => result !== undefined);
    expect(served.length).toBeGreaterThan(1);
    for (const { result } of served) expect(result?.snapshots.length).toBe(COUNT);
    const refused = replies.filter(({ error }) => error !== undefined);
    expect(refused.length).toBe(100 - served.length);
    for (const { error } of refused) {
      expect(error).toMatchObject({
        code: 1043,
        message:
          "the answer is longer than limits.replyBytes (33554432 bytes) allows: ask for pages of it, by limit and after",
      });
    }
  });
});
