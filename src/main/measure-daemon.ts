import type { PoolName } from "../protocol/storage/names.js";
import type { Downloads } from "./downloads/downloads.js";
import type { StreamingLanes } from "./downloads/streaming-lanes.js";
import { transferKindOf } from "./downloads/transfer-kind.js";
import type { JobRegistry } from "./jobs/job-registry.js";
import type { EventMeasures } from "./observability/event-metrics.js";
import { createMetrics, type Metrics } from "./observability/metrics.js";
import { ownVersion } from "./own-version.js";
import type { Actor } from "./pools/actor-handle.js";
import { createLastAnswers } from "./pools/last-answers.js";
import { createPoolRecords } from "./pools/pool-records.js";
import type { Replication } from "./replication/replication.js";

interface MeasuredParts {
  /** The software that serves HTTP. */
  readonly transport: string;
  readonly pools: readonly PoolName[];
  /** Those that have started. */
  readonly actors: ReadonlyMap<PoolName, Actor>;
  /** What of an actor's work and of its downloads is late. */
  lateOf(actor: Actor): readonly unknown[];
  /** Called from the first scrape on. */
  downloads(): Pick<Downloads, "active" | "activeBulk" | "states">;
  /** Called from the first scrape on. */
  replication(): Pick<Replication, "measures">;
  /** The profiles of `backups`, by their names. */
  readonly backups: Readonly<Record<string, unknown>>;
  readonly streaming: Pick<StreamingLanes, "listFetches" | "bodies">;
  readonly events: EventMeasures;
  readonly jobs: Pick<JobRegistry, "counts">;
  /** The listener of TLS, whose certificate expires at that time, in ms since 1970. */
  readonly tls: { readonly expiresAt: number } | undefined;
  /** How long a scrape waits for an actor. */
  readonly answerMs: number;
}

/** The metrics of a daemon, which read its parts at each scrape. */
export function measureDaemon(parts: MeasuredParts): Metrics {
  const { transport, pools, actors, downloads, tls, answerMs } = parts;
  return createMetrics({
    build: { version: ownVersion(), node: process.versions.node, transport },
    actors: () =>
      Array.from(actors.values(), (actor) => ({
        pool: actor.pool,
        pending: actor.pending,
        restarts: actor.restarts,
        ready: actor.state === "ready",
        late: parts.lateOf(actor).length,
        images: actor.imageCounts,
      })),
    downloads: () => downloads().active,
    bulkDownloads: () => downloads().activeBulk,
    transfers: {
      pools,
      downloads: () => downloads().states(),
      fetches: () => parts.streaming.listFetches().filter(({ order }) => transferKindOf(order) === "image"),
      streams: parts.streaming.bodies,
    },
    jobs: parts.jobs.counts,
    events: parts.events,
    replication: () => parts.replication().measures(),
    backups: { pools, profiles: Object.keys(parts.backups) },
    certificateExpiresAt: tls && (() => tls.expiresAt),
    pools: createPoolRecords(() => actors.values(), answerMs),
    measures: createLastAnswers({
      actors: () => actors.values(),
      ask: (actor) => actor.measures(answerMs),
      timeoutMs: answerMs,
    }),
  });
}
