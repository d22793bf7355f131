import { boundOf, quantileOf, readExposition, type Series } from "../../../src/client/exposition.ts";

/** What the charts need of `/metrics` at one moment. All but gauges only grow. */
export interface MetricSample {
  /** By performance.now(). */
  readonly atMs: number;
  readonly calls: number;
  readonly failures: number;
  /** Seconds of all calls together. */
  readonly seconds: number;
  /** Calls up to each bound in seconds, as a histogram has them. */
  readonly buckets: ReadonlyMap<number, number>;
  readonly streamedBytes: number;
  readonly downloads: number;
  readonly fetches: number;
  readonly pending: number;
  readonly residentBytes: number;
}

/** Reads the text format of Prometheus. */
export function readMetrics(text: string, atMs: number): MetricSample {
  const all = readExposition(text);
  const of = (name: string) => all.get(name) ?? [];
  const buckets = new Map<number, number>();
  for (const series of of("imagestore_call_seconds_bucket")) {
    const bound = boundOf(series);
    buckets.set(bound, (buckets.get(bound) ?? 0) + series.value);
  }
  const total = (series: readonly Series[]) => series.reduce((sum, { value }) => sum + value, 0);
  const sum = (name: string) => total(of(name));
  return {
    atMs,
    calls: sum("imagestore_calls_total"),
    failures: total(of("imagestore_calls_total").filter(({ labels }) => labels.code !== "ok")),
    seconds: sum("imagestore_call_seconds_sum"),
    buckets,
    streamedBytes: sum("imagestore_streamed_bytes_total"),
    downloads: sum("imagestore_downloads"),
    fetches: sum("imagestore_fetches"),
    pending: sum("imagestore_actor_pending"),
    residentBytes: sum("process_resident_memory_bytes"),
  };
}

/** What happened between two samples. */
export interface Rates {
  readonly callsPerSecond: number;
  readonly failuresPerSecond: number;
  /** Milliseconds; undefined if there was no call. */
  readonly meanMs: number | undefined;
  /** The bound below which 95 of 100 calls stayed, by the buckets of the histogram. */
  readonly p95Ms: number | undefined;
  readonly bytesPerSecond: number;
}

/** Undefined where the daemon was started anew between the two. */
export function ratesBetween(before: MetricSample, after: MetricSample): Rates | undefined {
  const seconds = (after.atMs - before.atMs) / 1000;
  const calls = after.calls - before.calls;
  if (seconds <= 0 || calls < 0 || after.streamedBytes < before.streamedBytes) return undefined;
  return {
    callsPerSecond: calls / seconds,
    failuresPerSecond: (after.failures - before.failures) / seconds,
    meanMs: calls === 0 ? undefined : ((after.seconds - before.seconds) / calls) * 1000,
    p95Ms: calls === 0 ? undefined : percentileMs(before.buckets, after.buckets, 0.95),
    bytesPerSecond: (after.streamedBytes - before.streamedBytes) / seconds,
  };
}

function percentileMs(
  before: MetricSample["buckets"],
  after: MetricSample["buckets"],
  part: number,
): number | undefined {
  const grown = new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
  const seconds = quantileOf(grown, part);
  return seconds === undefined ? undefined : seconds * 1000;
}
