import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { createPoolMetrics } from "../../../../src/main/observability/pool-metrics.js";
import { createPoolRecords } from "../../../../src/main/pools/pool-records.js";
import { failed, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import type { PoolRecord } from "../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../src/protocol/storage/units.js";
import { turn } from "../../../support/until.js";

const tank: PoolRecord = {
  name: "tank" as PoolName,
  driver: "openzfs",
  size: bytes(5000),
  allocated: bytes(1000),
  free: bytes(4000),
  available: bytes(3000),
  promised: bytes(2000),
  health: "DEGRADED",
  fragmentation: 12,
};
const fast: PoolRecord = { ...tank, name: "fast" as PoolName, health: "ONLINE", fragmentation: undefined };

describe("the pools of a scrape", () => {
  const actor = (pool: string, answer: () => Promise<Outcome<unknown>>) => ({
    pool: pool as PoolName,
    call: () => answer() as Promise<Outcome<never>>,
  });

  test("are those that answer in time: no other holds the scrape up, or fails it", async () => {
    const actors = [
      actor("tank", async () => succeed(tank)),
      actor("busy", async () => failed.overloaded),
      actor("broken", async () => Promise.reject(new Error("a bug"))),
      actor("slow", () => new Promise(() => {})),
      actor("fast", async () => succeed(fast)),
    ];
    expect(await createPoolRecords(() => actors, 5)()).toEqual([tank, fast]);
  });

  test("are shown as they were last, for a minute, where the answer is late or there is none", async () => {
    let time = 0;
    let asked = 0;
    let answer = (_outcome: Outcome<unknown>) => {};
    const late = actor("tank", () => {
      asked++;
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const scrape = createPoolRecords(
      () => [late],
      5,
      () => time,
    );
    expect([await scrape(), await scrape(), asked]).toEqual([[], [], 1]);
    answer(succeed(tank));
    await turn();
    time = 60_000;
    expect([await scrape(), asked]).toEqual([[tank], 2]);
    time++;
    expect(await scrape()).toEqual([]);
    answer(failed.overloaded);
    await turn();
    expect([await scrape(), asked]).toEqual([[], 3]);
  });
});

describe("metrics of pools", () => {
  const valuesOf = async (registry: Registry) =>
    (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));

  test("have a value for each size, the fragmentation where it is known, and the health by name", async () => {
    const registry = new Registry();
    createPoolMetrics(registry).set([tank, fast]);
    expect(await valuesOf(registry)).toEqual([
      'imagestore_pool_size_bytes{pool="tank"} 5000',
      'imagestore_pool_size_bytes{pool="fast"} 5000',
      'imagestore_pool_allocated_bytes{pool="tank"} 1000',
      'imagestore_pool_allocated_bytes{pool="fast"} 1000',
      'imagestore_pool_free_bytes{pool="tank"} 4000',
      'imagestore_pool_free_bytes{pool="fast"} 4000',
      'imagestore_pool_available_bytes{pool="tank"} 3000',
      'imagestore_pool_available_bytes{pool="fast"} 3000',
      'imagestore_pool_promised_bytes{pool="tank"} 2000',
      'imagestore_pool_promised_bytes{pool="fast"} 2000',
      'imagestore_pool_fragmentation_percent{pool="tank"} 12',
      'imagestore_pool_health{pool="tank",driver="openzfs",health="DEGRADED"} 1',
      'imagestore_pool_health{pool="fast",driver="openzfs",health="ONLINE"} 1',
    ]);
  });

  test("forget a pool that did not answer this time, and a health that is over", async () => {
    const registry = new Registry();
    const metrics = createPoolMetrics(registry);
    metrics.set([tank, fast]);
    metrics.set([{ ...tank, health: "ONLINE" }]);
    const values = await valuesOf(registry);
    expect(values.filter((line) => line.includes("fast"))).toEqual([]);
    expect(values.filter((line) => line.includes("health"))).toEqual([
      'imagestore_pool_health{pool="tank",driver="openzfs",health="ONLINE"} 1',
    ]);
  });
});
