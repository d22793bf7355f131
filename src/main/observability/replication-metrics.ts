import { Counter, Gauge, type Registry } from "prom-client";

/** How the pulls of a volume go that has a schedule. Times in ms since 1970. */
export interface MeasuredReplication {
  /** The copy, by its full name. */
  readonly volume: string;
  readonly peer: string;
  /** When the newest pull that succeeded began; undefined: there was none in this run. */
  readonly upToDateAt: number | undefined;
  /** When the schedule was begun. */
  readonly sinceMs: number;
  /** From the next pull to the one after it; undefined where the schedule has no two more. */
  readonly intervalMs: number | undefined;
  readonly succeeded: number;
  readonly failed: number;
  /** Pulls that have failed since one succeeded. */
  readonly failures: number;
  /** Of the streams of all pulls that succeeded. */
  readonly bytes: number;
}

/** Each has a few series: more of them would be a load for who scrapes. The first ones of the configuration count. */
const MOST = 1_000;
const LABELS = ["volume", "peer"] as const;

type Value = (measured: MeasuredReplication) => number | undefined;

const GAUGES: readonly (readonly [name: string, help: string, value: Value])[] = [
  [
    "imagestore_replication_last_success_timestamp_seconds",
    "When the newest pull that succeeded began, in seconds since 1970.",
    ({ upToDateAt }) => (upToDateAt === undefined ? undefined : upToDateAt / 1000),
  ],
  [
    "imagestore_replication_lag_seconds",
    "Time since the newest pull that succeeded began; before there was one, since the daemon's start.",
    ({ upToDateAt, sinceMs }) => (Date.now() - (upToDateAt ?? sinceMs)) / 1000,
  ],
  [
    "imagestore_replication_interval_seconds",
    "Time from the next pull of the schedule to the one after it.",
    ({ intervalMs }) => (intervalMs === undefined ? undefined : intervalMs / 1000),
  ],
  [
    "imagestore_replication_failures",
    "Pulls that have failed since one succeeded.",
    ({ failures }) => failures,
  ],
];

/** Registers the metrics of the volumes that are pulled by a schedule. `measures` is asked at each scrape. */
export function addReplicationMetrics(
  registry: Registry,
  measures: () => readonly MeasuredReplication[],
): void {
  const registers = [registry];
  const few = () => measures().slice(0, MOST);
  for (const [name, help, value] of GAUGES) {
    new Gauge({
      ...{ name, help, registers, labelNames: LABELS },
      collect() {
        this.reset();
        for (const each of few()) {
          const found = value(each);
          if (found !== undefined) this.set({ volume: each.volume, peer: each.peer }, found);
        }
      },
    });
  }
  new Counter({
    name: "imagestore_replication_pulls_total",
    help: "Pulls by a schedule that have ended.",
    labelNames: [...LABELS, "outcome"],
    registers,
    collect() {
      this.reset();
      for (const { volume, peer, succeeded, failed } of few()) {
        this.inc({ volume, peer, outcome: "ok" }, succeeded);
        this.inc({ volume, peer, outcome: "failed" }, failed);
      }
    },
  });
  new Counter({
    name: "imagestore_replication_bytes_total",
    help: "Bytes of the streams that came by pulls of a schedule that succeeded.",
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      for (const { volume, peer, bytes } of few()) this.inc({ volume, peer }, bytes);
    },
  });
}
