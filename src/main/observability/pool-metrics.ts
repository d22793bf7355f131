import { Gauge, type Registry } from "prom-client";
import type { PoolRecord } from "../../protocol/storage/records.js";

/** Gauges of the pools' space and health. */
export interface PoolMetrics {
  /** Replaces all values. A pool that is not among `pools` has none. */
  set(pools: readonly PoolRecord[]): void;
}

const SIZES = [
  ["size", "Size of the pool."],
  ["allocated", "What the pool's data takes."],
  ["free", "What the pool has not allocated."],
  ["available", "Room for guests' disks: what quotas and reservations leave of the free space."],
  ["promised", "What thin volumes and clones may still grow."],
] as const;

export function createPoolMetrics(registry: Registry): PoolMetrics {
  const registers = [registry];
  const sizes = SIZES.map(([key, help]) => ({
    key,
    gauge: new Gauge({ name: `imagestore_pool_${key}_bytes`, help, labelNames: ["pool"], registers }),
  }));
  const fragmentation = new Gauge({
    name: "imagestore_pool_fragmentation_percent",
    help: "Fragmentation of the pool's free space, where the pool knows it.",
    labelNames: ["pool"],
    registers,
  });
  const health = new Gauge({
    name: "imagestore_pool_health",
    help: "1 for the pool's health as zpool calls it.",
    labelNames: ["pool", "driver", "health"],
    registers,
  });
  return {
    set: (pools) => {
      for (const gauge of [...sizes.map((each) => each.gauge), fragmentation, health]) gauge.reset();
      for (const record of pools) {
        const { name: pool, driver } = record;
        for (const { key, gauge } of sizes) gauge.set({ pool }, Number(record[key]));
        if (record.fragmentation !== undefined) fragmentation.set({ pool }, record.fragmentation);
        health.set({ pool, driver, health: record.health }, 1);
      }
    },
  };
}
