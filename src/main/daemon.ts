import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import { type Outcome, succeed } from "../protocol/storage/failures.js";
import type { PoolName } from "../protocol/storage/names.js";
import { openTrace, traced } from "../protocol/threads/trace-points.js";
import type { Identify } from "./access/identify.js";
import type { Config } from "./config/schema.js";
import { openFiles } from "./daemon-files.js";
import { createDiagnosis } from "./diagnosis/gather-diagnosis.js";
import { watchDownloads } from "./downloads/download-watch.js";
import { createDownloads, type DownloadOptions, type Downloads } from "./downloads/downloads.js";
import { type Events, openEvents } from "./events/open-events.js";
import { takePort } from "./front-door.js";
import { createGate, type Gate } from "./gate.js";
import { createOriginCheck } from "./http/request-origin.js";
import { measureDaemon } from "./measure-daemon.js";
import type { AuditFile } from "./observability/audit-file.js";
import { logCall } from "./observability/call-log.js";
import type { CallReport } from "./observability/call-report.js";
import type { Metrics } from "./observability/metrics.js";
import { type Jobs, openJobs } from "./open-jobs.js";
import { openPools } from "./open-pools.js";
import { type BulkPort, createDoors, openStreaming } from "./open-streaming.js";
import { openTracing, tracedDoors } from "./open-tracing.js";
import type { Actor } from "./pools/actor-handle.js";
import { type ActorWatch, watchActors } from "./pools/actor-watch.js";
import { askReadiness, type Readiness } from "./pools/readiness.js";
import { createReleaseStack } from "./release-stack.js";
import { type Replication, startReplication } from "./replication/replication.js";
import { createStartingRoutes } from "./routes.js";
import { serveCalls } from "./serve-calls.js";
import { BUILT_PAGE, createWebPage } from "./web-page.js";

/** A running imagestore. */
export interface Daemon {
  readonly host: string;
  readonly port: number;
  /** Where it listens with TLS; undefined: nowhere. */
  readonly tls: { readonly host: string; readonly port: number } | undefined;
  /** Where bulk downloads are served; undefined: nowhere. */
  readonly bulk: Pick<BulkPort, "host" | "port"> | undefined;
  readonly transport: "uws" | "node";
  /** How many clients may be connected: limits.connections, or what the descriptors allow. */
  readonly connections: number;
  readonly actors: ReadonlyMap<PoolName, Actor>;
  /** Asks every actor whether it works, as `/readyz` does, for up to `limitMs`. */
  readiness(limitMs: number): Promise<Readiness>;
  /** Ends the streaming thread as a crash would. For tests of recovery. */
  crashStreaming(): Promise<void>;
  /**
   * Opens anew the files that it appends to, because they may have been moved away, and reads anew the
   * certificate of `listen.tls`.
   */
  reopenFiles(): void;
  /** Stops in order: listener, operations (which have graceMs to end), streams, records, threads. */
  stop(): Promise<void>;
}

/** How long operations may take after graceMs, when their fetches and downloads have been cancelled. */
const GIVE_UP_MS = 5_000;

/** The calls of an actor's handle that are trace points. */
const ACTOR_POINTS = ["call", "callAlways", "drain", "stop"] as const;

/**
 * Starts the daemon. If one part can't start, stops those that have. The port comes first: while
 * the pools are being opened, requests are answered 503. Fails with one line for the
 * administrator: a missing pool, no zfs, no permission, a port in use.
 */
export async function startDaemon(config: Config, log: Logger): Promise<Outcome<Daemon>> {
  const { timeouts } = config;
  const runId = randomBytes(4).toString("hex");
  const pools = config.pools.map(({ name }) => name);
  const actors = new Map<PoolName, Actor>();
  const releases = createReleaseStack();
  /** Set once, when `stop` is called. Then new operations and downloads fail. */
  let stopping = false;
  /** Set once, when all pools are open. */
  let watch: ActorWatch | undefined;
  const everyActor = () => [...actors.values()];
  const actorOf = (pool: PoolName) => (stopping ? undefined : actors.get(pool));

  const tracing = await openTracing(config, { log, onLost: (count) => metrics.spansLost(count) });
  if (tracing) releases.push(tracing.close);
  const files = openFiles(config, log, () => metrics.auditLost());
  if (!files.ok) return releases.failed(files);
  const { identify, audit, close } = files.value;
  releases.push(close);

  // Before any pool is touched: a second daemon on this port must change nothing.
  const door = await takePort(config, log);
  if (!door.ok) return releases.failed(door);
  const { transport, listener, tls, connections, open: openDoor } = door.value;
  releases.push(listener.close);
  const events = openEvents(config, runId);
  releases.push(events.close);

  const trace = openTrace(process.env, "main");
  const opened = await openStreaming(config, connections, log, trace, (end) => metrics.fetched(end));
  if (!opened.ok) return releases.failed(opened);
  const { streaming, bulk, pace } = opened.value;
  releases.push(streaming.stop);

  const ofJobs = { runId, dataDir: config.dataDir, log, transfers: streaming, actorOf };
  const jobs = openJobs({ ...ofJobs, onChange: events.onJob });
  releases.push(jobs.close);

  const measured = {
    ...{ transport: transport.software, pools, actors, streaming, backups: config.backups },
    ...{ jobs: jobs.registry, events: events.measures, answerMs: timeouts.readyMs, tls },
  };
  const later = { downloads: () => downloads, replication: () => replication };
  const metrics = measureDaemon({ ...measured, ...later, lateOf: (each) => lateOf(each) });
  const report = createReport({ metrics, audit, log, events });
  const downloads = openDownloads(config, {
    streaming,
    pace,
    bulkPort: bulk?.port,
    actorOf,
    onBytes: metrics.streamed,
    report,
    jobs: jobs.registry,
    onChange: events.onDownload,
  });

  const downloadWatch = watchDownloads({ list: downloads.list, log, timeouts });
  releases.push(downloadWatch.stop);
  const lateOf = (actor: Actor) => [...(watch?.lateOf(actor) ?? []), ...downloadWatch.lateOf(actor.pool)];
  const readiness = (limitMs: number) => askReadiness(everyActor(), lateOf, stopping, limitMs);
  const front = { config, transport, listener, connections, mostBulk: bulk?.connections };
  const diagnose = createDiagnosis({ ...front, streaming, downloads, actors: everyActor, readiness });
  const gate = openGate(config, identify, metrics);
  const always = { gate, diagnose, page: config.listen.ui ? createWebPage(BUILT_PAGE) : undefined };
  const doors = { openMain: openDoor, bulk, admit: gate.admit, onRefused: metrics.connectionRefused };
  const openDoors = tracedDoors(createDoors({ ...doors, log }), tracing);
  openDoors({ handle: createStartingRoutes(always) }, createStartingRoutes({ ...always, page: undefined }));
  const onStarting = (actor: Actor) => actors.set(actor.pool, traced(trace, "actor", actor, ACTOR_POINTS));
  const ofPools = { config, runId, log, streaming, metrics, events, downloads, tracing };
  const started = await openPools({ ...ofPools, onStarting });
  releases.push(() => Promise.all(everyActor().map((actor) => actor.stop())));
  if (!started.ok) return releases.failed(started);

  /** Waits for running operations up to graceMs, then cancels fetches and downloads. */
  async function endWork(): Promise<void> {
    const drained = await Promise.all(everyActor().map((actor) => actor.drain(timeouts.graceMs)));
    for (const [index, { pool }] of everyActor().entries()) {
      if (!drained[index]) log.warn({ pool }, "operations did not end within graceMs and are given up");
    }
    await Promise.all([downloads.endAll(), ...pools.map(streaming.abandonFetches)]);
    await Promise.all(everyActor().map((actor) => actor.drain(GIVE_UP_MS)));
  }
  releases.push(endWork);
  watch = watchActors({ actors: everyActor(), log, answerMs: timeouts.readyMs, lateMs: timeouts.lateMs });
  releases.push(watch.stop);

  jobs.restore();
  const answering = { actorOf, report, metrics, downloads, events, jobs, readiness, tracing, streaming };
  const replication = beginReplication(config, { pools, report, log, actorOf, jobs });
  releases.push(async () => replication.stop());
  serveCalls({ config, log, always, openDoors, actors: everyActor, replication, ...answering });

  async function stop(): Promise<void> {
    stopping = true;
    listener.stopAccepting();
    bulk?.door.stopAccepting();
    await releases.releaseAll();
  }

  return succeed({
    ...{ host: config.listen.host, port: listener.port, bulk, transport: transport.name, connections },
    tls: tls && { host: tls.host, port: tls.listener.port },
    ...{ actors, readiness, crashStreaming: streaming.crash, stop: once(stop) },
    reopenFiles: () => {
      audit.reopen();
      void tls?.renew();
    },
  });
}

interface ReplicationParts extends Pick<Parameters<typeof startReplication>[0], "pools" | "report" | "log"> {
  actorOf(pool: PoolName): Actor | undefined;
  readonly jobs: Jobs;
}

function beginReplication(
  { replication }: Config,
  { actorOf, jobs, ...parts }: ReplicationParts,
): Replication {
  return startReplication({
    ...parts,
    entries: replication,
    run: (routed, asker) => {
      const actor = actorOf(routed.pool);
      return actor && jobs.calls.run(actor, routed, asker);
    },
  });
}

function openGate(
  { listen }: Config,
  identify: Identify,
  { forbidden, unauthorized }: Pick<Metrics, "forbidden" | "unauthorized">,
): Gate {
  return createGate({
    checkOrigin: createOriginCheck(listen),
    identify,
    onForbidden: forbidden,
    onUnauthorized: unauthorized,
    hasPage: listen.ui,
  });
}

type DownloadParts =
  | "pace"
  | "streaming"
  | "bulkPort"
  | "actorOf"
  | "onBytes"
  | "report"
  | "jobs"
  | "onChange";

function openDownloads(
  { limits, timeouts, pools }: Config,
  parts: Pick<DownloadOptions, DownloadParts>,
): Downloads {
  return createDownloads({
    pools: pools.map(({ name }) => name),
    maxDownloads: limits.downloads,
    bodyBytes: limits.bodyBytes,
    windowBytes: limits.streamWindowBytes,
    stalledReaderMs: timeouts.stalledReaderMs,
    ...parts,
  });
}

interface Told {
  readonly metrics: Pick<Metrics, "observe" | "observeBackup">;
  readonly audit: Pick<AuditFile, "write">;
  readonly log: Logger;
  readonly events: Pick<Events, "onCall">;
}

type Report = (call: CallReport, answer?: unknown) => void;

/** Has all who want to know of a call told of it. */
function createReport({ metrics, audit, log, events }: Told): Report {
  return (call, answer) => {
    metrics.observe(call);
    metrics.observeBackup(call, answer);
    audit.write(call);
    logCall(log, call);
    events.onCall(call, answer);
  };
}

/** Runs `work` at the first call. Later calls return the same promise. */
function once(work: () => Promise<void>): () => Promise<void> {
  /** The run of `work`; undefined before the first call. */
  let run: Promise<void> | undefined;
  return () => {
    run ??= work();
    return run;
  };
}
