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

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm;
const LABEL_LE = /\ble="([^"]+)"/;
const LABEL_CODE = /\bcode="([^"]+)"/;

/** Reads the text format of Prometheus. */
export function readMetrics(text: string, atMs: number): MetricSample {
  const sums = new Map<string, number>();
  const buckets = new Map<number, number>();
  let failures = 0;
  for (const [, name = "", labels = "", digits = ""] of text.matchAll(LINE)) {
    const value = Number(digits);
    if (name === "imagestore_call_seconds_bucket") {
      const bound = LABEL_LE.exec(labels)?.[1] ?? "";
      const le = bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound);
      buckets.set(le, (buckets.get(le) ?? 0) + value);
      continue;
    }
    if (name === "imagestore_calls_total" && LABEL_CODE.exec(labels)?.[1] !== "ok") failures += value;
    sums.set(name, (sums.get(name) ?? 0) + value);
  }
  const sum = (name: string) => sums.get(name) ?? 0;
  return {
    atMs,
    calls: sum("imagestore_calls_total"),
    failures,
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
  const grown = [...after]
    .map(([bound, count]) => ({ bound, count: count - (before.get(bound) ?? 0) }))
    .sort((a, b) => a.bound - b.bound);
  const all = grown.at(-1)?.count ?? 0;
  if (all === 0) return undefined;
  let [lower, below] = [0, 0];
  for (const { bound, count } of grown) {
    if (count >= all * part) {
      if (bound === Number.POSITIVE_INFINITY) return lower * 1000;
      return (lower + ((bound - lower) * (all * part - below)) / Math.max(1, count - below)) * 1000;
    }
    [lower, below] = [bound, count];
  }
  return undefined;
}
