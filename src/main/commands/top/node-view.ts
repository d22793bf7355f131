import type { Job } from "../../../client/api-records.js";
import { boundOf, type Exposition, quantileOf, type Series } from "../../../client/exposition.js";
import type { NodeLook, WorkOfPool } from "./node-look.js";

/** A method, between two looks. Undefined times: it was not called. */
export interface MethodRow {
  readonly method: string;
  readonly callsPerSecond: number;
  readonly failuresPerSecond: number;
  readonly meanMs: number | undefined;
  /** By the buckets of a histogram, so about. */
  readonly p99Ms: number | undefined;
}

/** A pool. Undefined: this caller is not told, or the pool does not answer. */
export interface PoolRow {
  readonly pool: string;
  /** As zpool calls it, or the state of an actor that takes no work. */
  readonly health: string;
  readonly fillPercent: number | undefined;
  readonly availableMiB: number | undefined;
  readonly pending: number | undefined;
  readonly late: number | undefined;
  readonly fetches: number | undefined;
  readonly waitingFetches: number | undefined;
}

/** Work that waits for a lock. */
export interface WaitRow {
  readonly work: string;
  readonly dataset: string;
  /** `DATASET subtree|self shared|owned`. */
  readonly lock: string;
  readonly ms: number;
  readonly heldBy: readonly string[];
}

/** What is moved now. */
export interface NodeRates extends Omit<MethodRow, "method"> {
  readonly downloads: number;
  readonly downloadBytesPerSecond: number;
  readonly fetches: number;
  readonly fetchBytesPerSecond: number;
  readonly subscribers: number;
}

/** What is shown of a daemon. */
export interface NodeView {
  readonly version: string | undefined;
  /** Undefined: not told, or there is nothing yet to compare with. */
  readonly rates: NodeRates | undefined;
  readonly methods: readonly MethodRow[];
  readonly pools: readonly PoolRow[];
  readonly waits: readonly WaitRow[];
  readonly jobs: readonly Job[];
  /** What this caller is not told, and why. */
  readonly missing: readonly { readonly what: string; readonly why: string }[];
}

export type SortKey = "calls" | "mean" | "p99" | "failed" | "name";

const sumOf = (series: readonly Series[]) => series.reduce((sum, { value }) => sum + value, 0);

/** What a counter and its likes have grown by. */
class Growth {
  readonly seconds: number;

  constructor(
    private readonly before: Exposition,
    private readonly after: Exposition,
    ms: number,
  ) {
    this.seconds = ms / 1_000;
  }

  /** Of those of its series that pass. */
  of(name: string, passes: (series: Series) => boolean = () => true): number {
    const sum = (all: Exposition) => sumOf((all.get(name) ?? []).filter(passes));
    return sum(this.after) - sum(this.before);
  }

  row(passes: (series: Series) => boolean): Omit<MethodRow, "method"> {
    const timed = this.of("imagestore_call_seconds_count", passes);
    const took = this.of("imagestore_call_seconds_sum", passes);
    const bounds = (this.after.get("imagestore_call_seconds_bucket") ?? []).map(boundOf);
    const ofBound = (bound: number) =>
      this.of("imagestore_call_seconds_bucket", (each) => boundOf(each) === bound && passes(each));
    const p99 =
      timed > 0
        ? quantileOf(new Map([...new Set(bounds)].map((each) => [each, ofBound(each)])), 0.99)
        : undefined;
    return {
      callsPerSecond: this.of("imagestore_calls_total", passes) / this.seconds,
      failuresPerSecond:
        this.of("imagestore_calls_total", (each) => passes(each) && each.labels.code !== "ok") / this.seconds,
      meanMs: timed > 0 ? (took / timed) * 1_000 : undefined,
      p99Ms: p99 === undefined ? undefined : p99 * 1_000,
    };
  }
}

/** Undefined where the daemon was started anew between the two. */
function growthBetween(before: NodeLook | undefined, after: NodeLook): Growth | undefined {
  if (!before?.metrics.ok || !after.metrics.ok || after.atMs <= before.atMs) return undefined;
  const start = ({ value }: { readonly value: Exposition }) =>
    sumOf(value.get("process_start_time_seconds") ?? []);
  if (start(before.metrics) !== start(after.metrics)) return undefined;
  return new Growth(before.metrics.value, after.metrics.value, after.atMs - before.atMs);
}

function poolRows({ pools, metrics, work }: NodeLook): PoolRow[] {
  const workOf = work.ok ? work.value : [];
  const names = [...new Set([...pools.map(({ name }) => name), ...workOf.map(({ pool }) => pool)])];
  return names.map((pool) => {
    const gauge = (name: string) =>
      metrics.ok ? metrics.value.get(name)?.find(({ labels }) => labels.pool === pool)?.value : undefined;
    const record = pools.find(({ name }) => name === pool);
    const actor = workOf.find((each) => each.pool === pool);
    const isReady = actor === undefined || actor.state === "ready";
    return {
      pool,
      health: isReady ? (record?.health ?? "no answer") : actor.state,
      fillPercent: record && record.size > 0 ? Math.round((record.allocated / record.size) * 100) : undefined,
      availableMiB: record?.available,
      pending: actor?.pending ?? gauge("imagestore_actor_pending"),
      late: gauge("imagestore_operations_late"),
      fetches: gauge("imagestore_fetches"),
      waitingFetches: gauge("imagestore_fetches_waiting"),
    };
  });
}

/** The longest first. */
function waitRows(pools: readonly WorkOfPool[]): WaitRow[] {
  const rows = pools.flatMap(({ work }) =>
    (work ?? []).flatMap(({ id, name, datasets, waitsFor }) =>
      waitsFor.flatMap(({ kind, what = "", ms, heldBy = [] }) => {
        const nameOf = (holder: number) =>
          `${work?.find((each) => each.id === holder)?.name ?? ""}#${holder}`;
        return kind === "lock"
          ? [
              {
                work: `${name}#${id}`,
                dataset: datasets.join(" "),
                lock: what,
                ms,
                heldBy: heldBy.map(nameOf),
              },
            ]
          : [];
      }),
    ),
  );
  return rows.sort((a, b) => b.ms - a.ms);
}

/** What two looks tell, the first of them a while before. */
export function viewOf(before: NodeLook | undefined, after: NodeLook): NodeView {
  const { metrics, work, jobs } = after;
  const all = metrics.ok ? metrics.value : new Map<string, readonly Series[]>();
  const growth = growthBetween(before, after);
  const sum = (name: string) => sumOf(all.get(name) ?? []);
  const methods = [
    ...new Set((all.get("imagestore_calls_total") ?? []).map(({ labels }) => labels.method ?? "")),
  ];
  const parts = { "calls, rates and queues": metrics, "waits for locks": work, jobs };
  return {
    version: all.get("imagestore_build_info")?.[0]?.labels.version,
    rates: growth && {
      ...growth.row(() => true),
      downloads: sum("imagestore_downloads"),
      downloadBytesPerSecond: growth.of("imagestore_streamed_bytes_total") / growth.seconds,
      fetches: sum("imagestore_fetches"),
      fetchBytesPerSecond: growth.of("imagestore_fetched_bytes_total") / growth.seconds,
      subscribers: sum("imagestore_event_subscribers"),
    },
    methods: growth
      ? methods.map((method) => ({ method, ...growth.row(({ labels }) => labels.method === method) }))
      : [],
    pools: poolRows(after),
    waits: work.ok ? waitRows(work.value) : [],
    jobs: jobs.ok ? jobs.value : [],
    missing: Object.entries(parts).flatMap(([what, part]) => (part.ok ? [] : [{ what, why: part.why }])),
  };
}

/** Names rise, numbers fall; what is equal is by name. */
export function sortedMethods(rows: readonly MethodRow[], by: SortKey): MethodRow[] {
  const numberOf: Readonly<Record<SortKey, (row: MethodRow) => number>> = {
    calls: (row) => row.callsPerSecond,
    mean: (row) => row.meanMs ?? -1,
    p99: (row) => row.p99Ms ?? -1,
    failed: (row) => row.failuresPerSecond,
    name: () => 0,
  };
  const value = numberOf[by];
  return [...rows].sort((a, b) => value(b) - value(a) || (a.method < b.method ? -1 : 1));
}
