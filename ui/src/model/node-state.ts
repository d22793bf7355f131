import { type ReadonlySignal, signal } from "@preact/signals";
import type { Client } from "../api/client.ts";
import { type MetricSample, type Rates, ratesBetween, readMetrics } from "../api/metrics-text.ts";
import type { PoolRecord, ReadinessRecord } from "../api/records.ts";
import { type Polling, startPolling } from "./polling.ts";

/** The node as it is now, and how it was in the last minutes. */
export interface NodeState {
  readonly pools: ReadonlySignal<readonly PoolRecord[]>;
  readonly readiness: ReadonlySignal<ReadinessRecord | undefined>;
  /** Why the daemon does not answer; "" while it does. */
  readonly problem: ReadonlySignal<string>;
  /** The newest last. Undefined where the token may not see metrics. */
  readonly history: ReadonlySignal<readonly HistoryPoint[] | undefined>;
  readonly polling: Polling;
}

export interface HistoryPoint extends Rates {
  readonly sample: MetricSample;
}

const EVERY_MS = 5_000;
/** Ten minutes. */
const KEPT = 120;

export function watchNode(client: Client): NodeState {
  const pools = signal<readonly PoolRecord[]>([]);
  const readiness = signal<ReadinessRecord | undefined>(undefined);
  const problem = signal("");
  const history = signal<readonly HistoryPoint[] | undefined>([]);
  /** The sample that the next one is compared with. */
  let lastSample: MetricSample | undefined;

  async function lookAtReadiness(): Promise<void> {
    // A daemon that is not ready answers 503, and says why.
    const answer = await client.get("/readyz", { expect: 503 });
    if (answer.ok) readiness.value = await answer.value.json();
    problem.value = answer.ok ? "" : answer.failure.message;
  }

  async function lookAtPools(): Promise<void> {
    const answer = await client.call("GetPool", {});
    if (answer.ok) pools.value = answer.value.pools;
  }

  async function lookAtMetrics(): Promise<void> {
    if (history.value === undefined) return;
    const answer = await client.get("/metrics");
    if (!answer.ok) {
      if (answer.failure.reason === "http.403") history.value = undefined;
      return;
    }
    const sample = readMetrics(await answer.value.text(), performance.now());
    const rates = lastSample && ratesBetween(lastSample, sample);
    lastSample = sample;
    if (rates) history.value = [...history.value, { sample, ...rates }].slice(-KEPT);
  }

  const polling = startPolling(
    async () => {
      await Promise.all([lookAtReadiness(), lookAtPools(), lookAtMetrics()]);
    },
    () => EVERY_MS,
  );
  return { pools, readiness, problem, history, polling };
}
