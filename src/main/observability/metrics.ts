import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { JobState } from "../../protocol/storage/job-record.js";
import type { PoolRecord } from "../../protocol/storage/records.js";
import { createActorMetrics, type MeasuredActor } from "./actor-metrics.js";
import { addBackupMetrics, type BackupPlaces } from "./backup-metrics.js";
import type { CallReport, CountedCall } from "./call-report.js";
import { createCallTally } from "./call-tally.js";
import { addEventMetrics, type EventMeasures } from "./event-metrics.js";
import { addJobMetrics } from "./job-metrics.js";
import { createPoolMetrics } from "./pool-metrics.js";
import { addReplicationMetrics, type MeasuredReplication } from "./replication-metrics.js";
import { addTransferMetrics, type EndedFetch, type TransferSources } from "./transfer-metrics.js";

/** What the gauges read, at each scrape. */
export interface MetricSources {
  /** What runs here; each becomes a label. */
  readonly build: { readonly version: string; readonly node: string; readonly transport: string };
  actors(): readonly {
    readonly pool: string;
    readonly pending: number;
    readonly restarts: number;
    readonly ready: boolean;
    /** Operations that are late. */
    readonly late: number;
    /** Its images, complete and not; undefined until it has told them. */
    readonly images: { readonly complete: number; readonly pending: number } | undefined;
  }[];
  downloads(): number;
  /** Those of them whose command writes to the client by itself. */
  bulkDownloads(): number;
  readonly transfers: TransferSources;
  /** In ms since 1970. Undefined where nothing listens with TLS. */
  readonly certificateExpiresAt?: (() => number) | undefined;
  readonly events: EventMeasures;
  /** How many jobs there are in each state, those that have ended as long as they are known. */
  jobs(): ReadonlyMap<JobState, number>;
  replication(): readonly MeasuredReplication[];
  readonly backups: BackupPlaces;
  /** The pools that answer in time. The others have no values in this scrape. */
  pools(): Promise<readonly PoolRecord[]>;
  /** What the actors count themselves; the same holds. */
  measures(): Promise<readonly MeasuredActor[]>;
}

export interface Metrics {
  observe(call: CountedCall): void;
  /** Counts a call that has ended, if it was about a backup. */
  observeBackup(call: Pick<CallReport, "operation" | "pool" | "code">, answer: unknown): void;
  /** Counts a request that was answered 403, since a page of another site could have sent it. */
  forbidden(): void;
  /** Counts a request that was answered 401. */
  unauthorized(): void;
  /** Counts a line that could not be written to the audit file. */
  auditLost(): void;
  /** Counts bytes of snapshots that were handed to clients' sockets. */
  streamed(bytes: number): void;
  /** Counts a connection that was refused because of limits.connections. */
  connectionRefused(): void;
  /** Records how long a pool's runner took to spawn one command. */
  spawned(pool: string, ms: number): void;
  /** Counts spans that no collector will get. */
  spansLost(count: number): void;
  /** Counts an image fetch that has ended. */
  fetched(fetch: EndedFetch): void;
  /** Renders everything in the text exposition format; `type` is its Content-Type. */
  render(): Promise<{ readonly type: string; readonly text: string }>;
}

/** Gauges of prom-client with names of counters, which promtool complains of. sum() of their likes tells the same. */
const SUMS_OF_LABELS: readonly string[] = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of SUMS_OF_LABELS) registry.removeSingleMetric(name);
  const registers = [registry];
  new Gauge({
    name: "imagestore_build_info",
    help: "1; its labels tell what runs here.",
    labelNames: ["version", "node", "transport"],
    registers,
  }).set(sources.build, 1);
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const tally = createCallTally();
  new Counter({
    name: "imagestore_calls_total",
    help: "Calls answered, by method, pool and outcome code.",
    labelNames: ["method", "pool", "code"],
    registers,
    collect() {
      this.reset();
      for (const { labels, count } of tally.series()) this.inc(labels, count);
    },
  });
  const forbidden = counter(
    "imagestore_forbidden_total",
    "Requests refused since a page of another site could have sent them.",
  );
  const unauthorized = counter(
    "imagestore_unauthorized_total",
    "Requests refused for want of a token that is known and has not expired.",
  );
  const auditLost = counter(
    "imagestore_audit_lines_lost_total",
    "Lines that could not be written to the audit file.",
  );
  const lostSpans = counter("imagestore_spans_lost_total", "Spans of traces that no collector will get.");
  const streamedBytes = counter(
    "imagestore_streamed_bytes_total",
    "Bytes of snapshots handed to clients' sockets.",
  );
  const refusedConnections = counter(
    "imagestore_connections_refused_total",
    "Connections refused because limits.connections were open.",
  );
  const spawnSeconds = new Histogram({
    name: "imagestore_spawn_seconds",
    help: "Time that the runner of a pool's actor took to spawn a command, its fork and exec.",
    labelNames: ["pool"],
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
    registers,
  });
  const perPool = (
    name: string,
    help: string,
    value: (actor: ReturnType<MetricSources["actors"]>[number]) => number,
  ) =>
    new Gauge({
      name,
      help,
      labelNames: ["pool"],
      registers,
      collect() {
        for (const actor of sources.actors()) this.set({ pool: actor.pool }, value(actor));
      },
    });
  perPool(
    "imagestore_actor_pending",
    "Operations under way or waiting in a pool's actor.",
    (actor) => actor.pending,
  );
  perPool(
    "imagestore_actor_restarts",
    "Times a pool's actor was started again after a crash.",
    (actor) => actor.restarts,
  );
  perPool(
    "imagestore_operations_late",
    "Operations past their deadline, an actor that does not answer included.",
    (actor) => actor.late,
  );
  perPool("imagestore_actor_ready", "1 when the pool's actor takes work.", (actor) => Number(actor.ready));
  new Gauge({
    name: "imagestore_images",
    help: "Images of the pool, complete ones and those that are fetched or wait for it.",
    labelNames: ["pool", "status"],
    registers,
    collect() {
      this.reset();
      for (const { pool, images } of sources.actors()) {
        if (!images) continue;
        this.set({ pool, status: "complete" }, images.complete);
        this.set({ pool, status: "pending" }, images.pending);
      }
    },
  });
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  gauge("imagestore_downloads", "Snapshot downloads under way.", sources.downloads);
  gauge(
    "imagestore_bulk_downloads",
    "Those of them whose command writes to the client by itself.",
    sources.bulkDownloads,
  );
  addReadMetrics(registry, sources);
  const pools = createPoolMetrics(registry);
  const ofActors = createActorMetrics(registry);
  return {
    observe: tally.observe,
    observeBackup: addBackupMetrics(registry, sources.backups),
    forbidden: () => forbidden.inc(),
    unauthorized: () => unauthorized.inc(),
    auditLost: () => auditLost.inc(),
    spansLost: (count) => lostSpans.inc(count),
    streamed: (bytes) => streamedBytes.inc(bytes),
    connectionRefused: () => refusedConnections.inc(),
    spawned: (pool, ms) => spawnSeconds.observe({ pool }, ms / 1000),
    fetched: addTransferMetrics(registry, sources.transfers),
    render: async () => {
      const [records, measures] = await Promise.all([sources.pools(), sources.measures()]);
      pools.set(records);
      ofActors.set(measures);
      const text = `${await registry.metrics()}\n${tally.secondsText()}\n${ofActors.text(measures)}`;
      return { type: registry.contentType, text };
    },
  };
}

/** Those of which all is read at a scrape, by files of their own. */
function addReadMetrics(registry: Registry, sources: MetricSources): void {
  addCertificateMetric(registry, sources.certificateExpiresAt);
  addJobMetrics(registry, sources.jobs);
  addEventMetrics(registry, sources.events);
  addReplicationMetrics(registry, sources.replication);
}

/** Nothing where nothing listens with TLS. */
function addCertificateMetric(
  registry: Registry,
  certificateExpiresAt: MetricSources["certificateExpiresAt"],
): void {
  if (!certificateExpiresAt) return;
  new Gauge({
    name: "imagestore_tls_certificate_expiry_timestamp_seconds",
    help: "When the certificate of listen.tls expires, in seconds since 1970.",
    registers: [registry],
    collect() {
      this.set(certificateExpiresAt() / 1000);
    },
  });
}
