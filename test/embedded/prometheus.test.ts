import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestCa, issueForHost } from "../support/certificates.js";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { type Prometheus, promtool, startPrometheus, whyNoPrometheus } from "../support/prometheus.js";
import { call, must } from "../support/rpc.js";
import { standInPool } from "../support/stand-in-zfs.js";
import { until } from "../support/until.js";

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const RULES = at("deploy/prometheus/imagestore.rules.yml");
const OF_RULES = at("test/fixtures/prometheus/imagestore.rules.test.yml");
const rules = readFileSync(RULES, "utf8");

const reason = whyNoPrometheus();
if (reason) console.log(`prometheus.test.ts is skipped: ${reason}`);

interface Rule {
  readonly name: string;
  readonly health: string;
  readonly state: string;
}

describe.skipIf(reason !== undefined)("for Prometheus", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let daemon: DaemonProcess;
  let prometheus: Prometheus;
  const ca = createTestCa();
  beforeAll(async () => {
    daemon = await startDaemonProcess({
      listen: { port: 0, bulk: { port: 0 }, tls: { port: 0, ...issueForHost(ca) } },
      pools: [
        ...["tank", "fast"].map((name) => ({ name, driver: "embedded", folder: join(folder, name) })),
        standInPool(folder, "dozer"),
      ],
      // So that a scrape takes no longer than Prometheus waits, whatever the stand-in's processes take here.
      timeouts: { readyMs: 300 },
    });
    await must(daemon.url, "CreateVolume", { id: "v", size: 8 });
    await must(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
    await call(daemon.url, "GetSnapshot", { id: "v@none" });
    await call(daemon.url, "ListVolumes", { pool: "dozer" });
    prometheus = await startPrometheus(folder, new URL(daemon.url).host, RULES);
  });
  afterAll(async () => {
    await prometheus?.stop();
    expect(await daemon.stop()).toBe(0);
    ca.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const scrape = async () => (await fetch(`${daemon.url}/metrics`)).text();

  async function ask<T>(expression: string): Promise<T[]> {
    const { result } = (await prometheus.ask(`query?query=${encodeURIComponent(expression)}`)) as {
      result: T[];
    };
    return result;
  }

  test("the metrics have nothing that promtool complains of", async () => {
    expect(promtool(["check", "metrics"], await scrape())).toEqual({ status: 0, output: "" });
  });

  test("a scrape has what the pools hold, and what their actors count", async () => {
    await until("the snapshots are counted", async () =>
      /^imagestore_snapshots\{pool="dozer"\}/m.test(await scrape()),
    );
    const text = await scrape();
    for (const line of [
      'imagestore_volumes{pool="tank"} 1',
      'imagestore_snapshots{pool="tank"} 1',
      'imagestore_volumes{pool="fast"} 0',
      'imagestore_images{pool="fast",status="complete"} 0',
      'imagestore_lock_wait_seconds_count{pool="tank",mode="one"} 2',
      'imagestore_commands{pool="dozer",kind="change",state="waiting"} 0',
      'imagestore_command_slots{pool="dozer",kind="change"} 16',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
    expect(text).toMatch(
      /^imagestore_command_seconds_count\{pool="dozer",verb="zfs list",outcome="ok"\} [1-9]/m,
    );
    expect(text).not.toContain('imagestore_commands{pool="tank"');
  });

  test("each alert is tried by a case of promtool's, and fires for nothing else", () => {
    const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    expect(alerts.length).toBeGreaterThan(10);
    const cases = readFileSync(OF_RULES, "utf8");
    expect(alerts.filter((name) => !cases.includes(`alertname="${name}"`))).toEqual([]);
    expect(promtool(["test", "rules", OF_RULES])).toMatchObject({ status: 0 });
  });

  test("each metric of the alerts is in a scrape, and each page that an alert names is there", async () => {
    const text = await scrape();
    const metrics = new Set(rules.match(/\bimagestore_\w+?(?=(?:_bucket|_count)?\b)/g));
    expect(metrics.size).toBeGreaterThan(8);
    expect([...metrics].filter((name) => !text.includes(`# TYPE ${name} `))).toEqual([]);
    expect((rules.match(/docs\/[\w-]+\.md/g) ?? []).filter((page) => !existsSync(at(page)))).toEqual([]);
  });

  test("a real server scrapes it, evaluates all alerts, and none fires of a daemon at work", async () => {
    await until("it has scraped twice", async () => (await ask("count_over_time(up[1m]) > 1")).length === 1);
    await until("its last scrape was answered", async () => (await ask("up == 1")).length === 1);
    const built = await ask<{ metric: Record<string, string> }>("imagestore_build_info");
    expect(built).toMatchObject([{ metric: { version: "0.1.0", node: expect.stringMatching(/^\d+\./) } }]);
    const ready = await ask<{ metric: { pool: string } }>("imagestore_actor_ready == 1");
    expect(ready.map(({ metric }) => metric.pool).sort()).toEqual(["dozer", "fast", "tank"]);
    const evaluated = async () => {
      const { groups } = (await prometheus.ask("rules")) as { groups: { rules: Rule[] }[] };
      return groups.flatMap((group) => group.rules);
    };
    await until("all are evaluated", async () =>
      (await evaluated()).every(({ health }) => health !== "unknown"),
    );
    const all = await evaluated();
    expect(all.length).toBeGreaterThan(10);
    expect(all.filter(({ health }) => health !== "ok")).toEqual([]);
    expect(all.filter(({ state }) => state === "firing")).toEqual([]);
  });

  test("it is told of a daemon that has gone", async () => {
    await daemon.stop();
    await until("the scrape fails", async () => (await ask("up == 0")).length === 1);
    await until("the alert is pending", async () => {
      const { alerts } = (await prometheus.ask("alerts")) as { alerts: { labels: { alertname: string } }[] };
      return alerts.some(({ labels }) => labels.alertname === "ImagestoreDown");
    });
  });
});
