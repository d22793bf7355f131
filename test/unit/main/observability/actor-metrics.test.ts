import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createActorMetrics } from "../../../../src/main/observability/actor-metrics.js";
import { COMMAND_BOUNDS, LOCK_WAIT_BOUNDS } from "../../../../src/protocol/threads/actor-measures.js";
import { createTimeTally } from "../../../../src/protocol/threads/time-tally.js";

test("what actors count is told by pool, and a pool that tells nothing has no values", async () => {
  const lockWaits = createTimeTally(LOCK_WAIT_BOUNDS);
  lockWaits.observe(["tree"], 5);
  lockWaits.observe(["tree"], 500_000);
  const commands = createTimeTally(COMMAND_BOUNDS);
  commands.observe(["zfs list", "ok"], 4);
  const answer = {
    counts: { volumes: 3, snapshots: undefined },
    slots: [{ kind: "change", most: 16, running: 2, waiting: 5 }] as const,
    waitingFetches: 4,
    lockWaits: lockWaits.list(),
    commands: commands.list(),
    follower: { isFollowing: true, restarts: 2 },
  };
  const registry = new Registry();
  const metrics = createActorMetrics(registry);
  metrics.set([{ pool: "tank", answer }]);
  const lines = (text: string) => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines(await registry.metrics())).toEqual([
    'imagestore_volumes{pool="tank"} 3',
    'imagestore_fetches_waiting{pool="tank"} 4',
    'imagestore_command_slots{pool="tank",kind="change"} 16',
    'imagestore_commands{pool="tank",kind="change",state="running"} 2',
    'imagestore_commands{pool="tank",kind="change",state="waiting"} 5',
    'imagestore_outside_events_followed{pool="tank"} 1',
    'imagestore_outside_events_restarts{pool="tank"} 2',
  ]);
  const told = lines(metrics.text([{ pool: "tank", answer }]));
  expect(told).toContain('imagestore_lock_wait_seconds_bucket{le="0.001",pool="tank",mode="tree"} 0');
  expect(told).toContain('imagestore_lock_wait_seconds_bucket{le="0.01",pool="tank",mode="tree"} 1');
  expect(told).toContain('imagestore_lock_wait_seconds_bucket{le="60",pool="tank",mode="tree"} 1');
  expect(told).toContain('imagestore_lock_wait_seconds_bucket{le="+Inf",pool="tank",mode="tree"} 2');
  expect(told).toContain('imagestore_lock_wait_seconds_sum{pool="tank",mode="tree"} 500.005');
  expect(told).toContain(
    'imagestore_command_seconds_bucket{le="0.005",pool="tank",verb="zfs list",outcome="ok"} 1',
  );
  metrics.set([]);
  expect(lines(await registry.metrics())).toEqual([]);
});
