import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, freePort, startDaemonProcess } from "../support/daemon.js";
import { type ObjectEngine, startObjectEngine } from "../support/object-engine.js";
import { type Prometheus, startPrometheus, whyNoPrometheus } from "../support/prometheus.js";
import { call, must } from "../support/rpc.js";
import { standInPool } from "../support/stand-in-zfs.js";
import { until } from "../support/until.js";

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const RULES = at("deploy/prometheus/imagestore.rules.yml");

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}

const dashboard: { readonly uid: string; readonly panels: readonly Panel[] } = JSON.parse(
  readFileSync(at("deploy/grafana-dashboard.json"), "utf8"),
);
const shown = dashboard.panels.filter(({ type }) => type !== "row");
const queries = shown.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));

/** Queries that have no data here, and why. */
const EMPTY: Readonly<Record<string, string>> = {
  "Life of the certificate": "this daemon has no listen.tls",
  Fragmentation: "pools in folders don't know it, and the stand-in for zfs tells none",
};

/** What Grafana puts in place of its variables, with "All" chosen. */
const filled = (expr: string) =>
  expr.replaceAll("$__rate_interval", "10s").replaceAll("$instance", ".*").replaceAll("$pool", ".*");

const reason = whyNoPrometheus();
if (reason) console.log(`dashboard.test.ts: its queries are not asked: ${reason}`);

test("the dashboard's panels have titles and descriptions, each has its own place, and none its own data source", () => {
  expect(shown.length).toBeGreaterThan(25);
  expect(shown.filter(({ title, description = "" }) => title === "" || description === "")).toEqual([]);
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  const taken = new Set<string>();
  for (const { gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.has(`${x} ${y}`)).toBe(false);
        taken.add(`${x} ${y}`);
      }
  }
  const sources = JSON.stringify(dashboard).match(/"uid":"[^"]*"/g) ?? [];
  const named = sources.filter((uid) => !/^"uid":"\$\{datasource\}"$/.test(uid));
  expect(named).toEqual(['"uid":"imagestore"']);
});

test("it shows every metric of the daemon's own", () => {
  const page = readFileSync(at("docs/operations.md"), "utf8");
  const rows = [...page.matchAll(/^\| (`imagestore_[^|]*) \|/gm)].map(([, cells = ""]) => cells);
  const documented = rows.flatMap((cells) => [...cells.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name));
  const text = queries.map(({ expr }) => expr).join("\n");
  const missing = documented.filter((name) => !new RegExp(`\\b${name}(?:_bucket|_count)?\\b`).test(text));
  // Sums of what it shows by phase, and what is left of the size.
  const told = ["imagestore_downloads", "imagestore_bulk_downloads", "imagestore_pool_free_bytes"];
  expect(missing.sort()).toEqual(told.sort());
});

describe.skipIf(reason !== undefined)("with a Prometheus that scrapes a daemon at work", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;
  let prometheus: Prometheus;
  let engine: ObjectEngine;
  /** Ends the load. */
  let isOver = false;
  let load: Promise<void>;

  /** Calls of all kinds, refused ones, downloads, and fetches that fail. */
  async function makeLoad(): Promise<void> {
    for (let round = 0; !isOver; round++) {
      const id = `v${round}`;
      await call(daemon.url, "CreateVolume", { id, size: 8 });
      await call(daemon.url, "CreateSnapshot", { id, dest: "s" });
      await (await fetch(`${daemon.url}/snapshots/download?id=${id}@s`)).arrayBuffer();
      await call(daemon.url, "RequestImage", { id: `i${round}`, source: "http://127.0.0.1:9/i" });
      await call(daemon.url, "GetVolume", { id: "nothing" });
      await call(daemon.url, "ListVolumes", { pool: "dozer" });
      await call(daemon.url, "CreateVolume", { pool: "dozer", id: "busy", size: 8 });
      await call(daemon.url, "DeleteDataset", { id });
      if (round === 0) await must(daemon.url, "BackupSnapshot", { id: "first@s", profile: "local" });
    }
  }

  beforeAll(async () => {
    engine = await startObjectEngine(folder);
    const port = await freePort();
    daemon = await startDaemonProcess({
      listen: { port },
      backups: { local: engine.profile },
      // It is its own peer.
      peers: { self: { url: `http://127.0.0.1:${port}` } },
      replication: [{ volume: "copy", peer: "self", source: "first", schedule: "*/5 * * * * *" }],
      imageSources: ["127.0.0.1:9"],
      pools: [
        { name: "tank", driver: "embedded", folder: join(folder, "tank") },
        standInPool(folder, "dozer"),
      ],
      timeouts: { readyMs: 300 },
    });
    await must(daemon.url, "CreateVolume", { id: "first", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "first", dest: "s" });
    load = makeLoad();
    prometheus = await startPrometheus(folder, new URL(daemon.url).host, RULES);
  });
  afterAll(async () => {
    isOver = true;
    await load;
    await prometheus?.stop();
    expect(await daemon.stop()).toBe(0);
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** How many series a query has; a query that is wrong fails. */
  async function seriesOf(expr: string): Promise<number> {
    const data = await prometheus.ask(`query?query=${encodeURIComponent(filled(expr))}`);
    const { result } = data as { result: readonly { value: readonly [number, string] }[] };
    return result.length;
  }

  test("each query has data, but for those that are rightly empty", async () => {
    /** Titles of the panels whose queries had no data when they were last asked. */
    let empty: string[] = [];
    await until(
      "all queries have data",
      async () => {
        const counts = await Promise.all(queries.map(({ expr }) => seriesOf(expr)));
        empty = queries.flatMap(({ title }, index) => (counts[index] === 0 ? [title] : []));
        return empty.every((title) => title in EMPTY);
      },
      90_000,
    ).catch(() => {});
    expect(empty.sort()).toEqual(Object.keys(EMPTY).sort());
  });
});
