import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createMetrics } from "../../../../src/main/observability/metrics.js";

const page = readFileSync(new URL("../../../../docs/operations.md", import.meta.url), "utf8");

test("docs/operations.md has all metrics with their labels, and no others", async () => {
  const measures = {
    counts: { volumes: 1, snapshots: 1 },
    slots: [{ kind: "read", most: 8, running: 0, waiting: 0 }] as const,
    waitingFetches: 0,
    follower: { isFollowing: true, restarts: 0 },
    lockWaits: [{ of: ["tree"], times: { counts: [1], sum: 1 } }],
    commands: [{ of: ["zfs list", "ok"], times: { counts: [1], sum: 1 } }],
  };
  const record = { name: "tank", driver: "openzfs", health: "ONLINE", fragmentation: 1 } as never;
  const metrics = createMetrics({
    build: { version: "1.2.3", node: "20.0.0", transport: "node:http" },
    actors: () => [
      {
        ...{ pool: "tank", pending: 0, restarts: 0, ready: true, late: 0 },
        images: { complete: 1, pending: 0 },
      },
    ],
    downloads: () => 0,
    bulkDownloads: () => 0,
    jobs: () => new Map(),
    replication: () => [
      {
        ...{ volume: "tank/v", peer: "node2", upToDateAt: 1, sinceMs: 0, intervalMs: 60_000 },
        ...{ succeeded: 1, failed: 0, failures: 0, bytes: 1 },
      },
    ],
    backups: { pools: ["tank"], profiles: ["offsite"] },
    events: { channels: 0, subscribers: () => 0, cut: () => 0 },
    transfers: {
      pools: ["tank"],
      downloads: () => [],
      fetches: () => [],
      streams: { count: 0, receivedBytes: 0 },
    },
    pools: async () => [record],
    measures: async () => [{ pool: "tank", answer: measures }],
    certificateExpiresAt: () => 1,
  });
  metrics.observe({ method: "GetImage", pool: "tank", code: "ok", ms: 1 });
  const operation = { op: "BackupSnapshot", name: "tank/v@s", profile: "offsite", full: false } as never;
  metrics.observeBackup({ operation, pool: "tank", code: "ok" }, { why: "first", backup: { bytes: 1 } });
  metrics.spawned("tank", 1);
  metrics.fetched({ owner: "tank", code: "ok", receivedBytes: 1, repeats: 0, repeatedBytes: 0 });
  const { text } = await metrics.render();
  const told = new Map<string, Set<string>>();
  const names = [...text.matchAll(/^# TYPE (imagestore_\w+)/gm)].map(([, name = ""]) => name);
  for (const name of names) {
    const line = text.split("\n").find((each) => new RegExp(`^${name}(?:_bucket)?[{ ]`).test(each)) ?? "";
    const labels = [...line.matchAll(/(\w+)="/g)].flatMap(([, label = ""]) =>
      label === "le" ? [] : [label],
    );
    told.set(name, new Set(labels));
  }
  expect(names.length).toBeGreaterThan(25);
  const documented = new Map<string, Set<string>>();
  for (const [, cells = "", labels = ""] of page.matchAll(/^\| (`imagestore_[^|]*) \| ([^|]*) ?\|/gm)) {
    const ofRow = new Set([...labels.matchAll(/`(\w+)`/g)].map(([, label = ""]) => label));
    for (const [, name = ""] of cells.matchAll(/`(\w+)`/g)) documented.set(name, ofRow);
  }
  const sorted = (map: Map<string, Set<string>>) =>
    Object.fromEntries([...map].sort().map(([name, labels]) => [name, [...labels].sort()]));
  expect(sorted(documented)).toEqual(sorted(told));
});
