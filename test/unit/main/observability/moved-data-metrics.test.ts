import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { addBackupMetrics } from "../../../../src/main/observability/backup-metrics.js";
import {
  addReplicationMetrics,
  type MeasuredReplication,
} from "../../../../src/main/observability/replication-metrics.js";

/** The lines of values that a scrape has. */
async function linesOf(registry: Registry): Promise<readonly string[]> {
  return (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

const backup = (profile: string) =>
  ({ op: "BackupSnapshot", name: "tank/v@s", profile, full: false }) as never;
const verify = { op: "VerifyBackup", profile: "offsite", backup: "", content: true, sight: {} } as never;

test("backups and looks at them are counted by pool and store, and bytes only of new ones", async () => {
  const registry = new Registry();
  const observe = addBackupMetrics(registry, { pools: ["tank"], profiles: ["offsite"] });
  expect(await linesOf(registry)).toContain(
    'imagestore_backups_ended_total{pool="tank",profile="offsite",outcome="failed"} 0',
  );
  const ended = (operation: never, code: string, answer?: object) =>
    observe({ operation, pool: "tank", code }, answer);
  ended(backup("offsite"), "ok", { why: "baseLost", backup: { bytes: 1000 } });
  ended(backup("offsite"), "ok", { why: "increment", backup: { bytes: 10 } });
  ended(backup("offsite"), "ok", { why: "present", backup: { bytes: 10 } });
  ended(backup("offsite"), "backup.store_unreachable");
  ended(verify, "ok");
  ended(verify, "backup.damaged");
  ended(verify, "backup.store_unreachable");
  const lines = await linesOf(registry);
  const labels = 'pool="tank",profile="offsite"';
  for (const line of [
    ...["full", "increment", "present", "failed"].map(
      (outcome) => `imagestore_backups_ended_total{${labels},outcome="${outcome}"} 1`,
    ),
    ...["ok", "damaged", "failed"].map(
      (outcome) => `imagestore_backup_checks_total{${labels},outcome="${outcome}"} 1`,
    ),
    `imagestore_backup_bytes_total{${labels}} 1010`,
  ])
    expect(lines).toContain(line);
  expect(lines.filter((line) => line.startsWith("imagestore_backup_last_success"))).toHaveLength(1);
});

test("a store that the configuration has not gets no series, whatever callers name", async () => {
  const registry = new Registry();
  const observe = addBackupMetrics(registry, { pools: ["tank"], profiles: ["offsite"] });
  const before = await linesOf(registry);
  for (const profile of ["a", "b"]) {
    observe({ operation: backup(profile), pool: "tank", code: "request.invalid" }, undefined);
  }
  expect(await linesOf(registry)).toEqual(before);
});

test("a copy that was never brought up to date lags since the start, and has no time of success", async () => {
  const registry = new Registry();
  const measured: MeasuredReplication = {
    ...{ volume: "tank/v", peer: "node2", upToDateAt: undefined, sinceMs: Date.now() - 90_000 },
    ...{ intervalMs: undefined, succeeded: 0, failed: 3, failures: 3, bytes: 0 },
  };
  addReplicationMetrics(registry, () => [measured]);
  const lines = await linesOf(registry);
  const values = Object.fromEntries(lines.map((line) => line.split(" ")));
  const labels = '{volume="tank/v",peer="node2"}';
  const lag = Number(values[`imagestore_replication_lag_seconds${labels}`]);
  expect(lag).toBeGreaterThanOrEqual(90);
  expect(lag).toBeLessThan(150);
  expect(values[`imagestore_replication_failures${labels}`]).toBe("3");
  expect(values['imagestore_replication_pulls_total{volume="tank/v",peer="node2",outcome="failed"}']).toBe(
    "3",
  );
  for (const name of ["last_success_timestamp_seconds", "interval_seconds"])
    expect(values).not.toHaveProperty([`imagestore_replication_${name}${labels}`]);
});

test("of more volumes than a scrape should have, the first thousand count", async () => {
  const registry = new Registry();
  const all = Array.from({ length: 1_200 }, (_, index) => ({
    ...{ volume: `tank/v${index}`, peer: "node2", upToDateAt: 1_000, sinceMs: 0, intervalMs: 60_000 },
    ...{ succeeded: 1, failed: 0, failures: 0, bytes: 7 },
  }));
  addReplicationMetrics(registry, () => all);
  const lines = await linesOf(registry);
  expect(lines).toHaveLength(7 * 1_000);
  expect(lines).toContain('imagestore_replication_bytes_total{volume="tank/v999",peer="node2"} 7');
});
