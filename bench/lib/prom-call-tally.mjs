// @ts-check
import { Counter, Histogram } from "prom-client";

/**
 * `createCallTally` of src/main/observability/call-tally.ts by the counter and the histogram of prom-client.
 * It counts and shows nothing, because no bench scrapes.
 * @type {typeof import("../../src/main/observability/call-tally.js").createCallTally}
 */
export function createCallTally() {
  const calls = new Counter({
    name: "imagestore_calls_total",
    help: "Calls answered, by method, pool and outcome code.",
    labelNames: ["method", "pool", "code"],
    registers: [],
  });
  const seconds = new Histogram({
    name: "imagestore_call_seconds",
    help: "Time from a parsed call to its outcome.",
    labelNames: ["method", "pool"],
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600],
    registers: [],
  });
  return {
    observe: ({ method, pool, code, ms }) => {
      calls.inc({ method, pool, code });
      seconds.observe({ method, pool }, ms / 1000);
    },
    series: () => [],
    secondsText: () => "",
  };
}
