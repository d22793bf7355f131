import fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { createCallTally } from "../../../../src/main/observability/call-tally.js";
import { createMetrics } from "../../../../src/main/observability/metrics.js";

const buckets = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600];
const calls = fc.array(
  fc.record({
    method: fc.constantFrom("GetImage", "CreateSnapshot", ""),
    pool: fc.constantFrom("tank", "fast"),
    code: fc.constantFrom("ok", "image.not_found"),
    ms: fc.oneof(
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      fc.constantFrom(...buckets.map((each) => each * 1000)),
    ),
  }),
);

test("calls are told as a histogram of prom-client tells them", async () => {
  await fc.assert(
    fc.asyncProperty(calls, async (observed) => {
      const registry = new Registry();
      const reference = new Histogram({
        name: "imagestore_call_seconds",
        help: "Time from a parsed call to its outcome.",
        labelNames: ["method", "pool"],
        buckets,
        registers: [registry],
      });
      const tally = createCallTally();
      for (const call of observed) {
        reference.observe({ method: call.method, pool: call.pool }, call.ms / 1000);
        tally.observe(call);
      }
      expect(tally.secondsText()).toBe(await registry.metrics());
    }),
  );
});

test("a scrape tells all calls so far, by method, pool and code, each time", async () => {
  const metrics = createMetrics({
    build: { version: "1.2.3", node: "20.0.0", transport: "node:http" },
    actors: () => [],
    downloads: () => 0,
    bulkDownloads: () => 0,
    transfers: {
      pools: ["tank"],
      downloads: () => [],
      fetches: () => [],
      streams: { count: 0, receivedBytes: 0 },
    },
    jobs: () => new Map(),
    replication: () => [],
    backups: { pools: ["tank"], profiles: [] },
    events: { channels: 0, subscribers: () => 0, cut: () => 0 },
    pools: async () => [],
    measures: async () => [],
  });
  const call = { method: "GetImage", pool: "tank", code: "ok", ms: 1 };
  for (let count = 1; count <= 3; count++) {
    metrics.observe(call);
    metrics.observe({ ...call, code: "image.not_found" });
    metrics.observe({ ...call, pool: "fast" });
    const { type, text } = await metrics.render();
    expect(type).toMatch(/^text\/plain/);
    for (const labels of [
      'pool="tank",code="ok"',
      'pool="tank",code="image.not_found"',
      'pool="fast",code="ok"',
    ]) {
      expect(text).toContain(`imagestore_calls_total{method="GetImage",${labels}} ${count}\n`);
    }
    expect(text).toContain(`imagestore_call_seconds_count{method="GetImage",pool="tank"} ${2 * count}\n`);
  }
});
