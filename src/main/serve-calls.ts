import type { Logger } from "pino";
import { createMethodTable } from "../protocol/json-rpc/methods/table.js";
import { failed } from "../protocol/storage/failures.js";
import type { PoolName } from "../protocol/storage/names.js";
import { isRead } from "../protocol/storage/operation-kinds.js";
import { backupHandlers } from "./backups/list-backups.js";
import { createChannelAccess } from "./channel-access.js";
import type { Config } from "./config/schema.js";
import { createWorkList } from "./diagnosis/work-list.js";
import type { Downloads } from "./downloads/downloads.js";
import type { StreamingLanes } from "./downloads/streaming-lanes.js";
import type { Events } from "./events/open-events.js";
import { jobHandlers } from "./jobs/job-handlers.js";
import type { CallReport } from "./observability/call-report.js";
import { auditHandlers } from "./observability/list-audit.js";
import type { Metrics } from "./observability/metrics.js";
import type { Jobs } from "./open-jobs.js";
import type { OpenDoors } from "./open-streaming.js";
import { ownVersion } from "./own-version.js";
import type { Actor } from "./pools/actor-handle.js";
import type { Readiness } from "./pools/readiness.js";
import { createReceives } from "./receives/receive-endpoint.js";
import type { Replication } from "./replication/replication.js";
import { createBulkRoutes, createRoutes, type OpenRoutes } from "./routes.js";
import { createDiscovery } from "./rpc/discovery.js";
import { createRpcEndpoint, type RpcOptions } from "./rpc/endpoint.js";
import { type NodeHandlers, runOnNode } from "./rpc/node-handlers.js";
import { createRpcChannels } from "./rpc/rpc-channels.js";
import type { Tracing } from "./tracing/tracing.js";

interface Served {
  readonly config: Config;
  readonly log: Logger;
  /** The actor that serves a pool; undefined while the daemon stops. */
  actorOf(pool: PoolName): Actor | undefined;
  report(call: CallReport, answer?: unknown): void;
  readonly metrics: Pick<Metrics, "render">;
  readonly downloads: Downloads;
  readonly jobs: Pick<Jobs, "registry" | "calls">;
  readonly replication: Pick<Replication, "handlers">;
  readonly streaming: Pick<StreamingLanes, "store" | "listFetches" | "bodies">;
  readonly events: Pick<Events, "serve" | "openOn">;
  readiness(limitMs: number): Promise<Readiness>;
  readonly tracing: Pick<Tracing, "beginMessage"> | undefined;
  /** The pools' actors that have started. */
  actors(): readonly Actor[];
  readonly always: OpenRoutes;
  readonly openDoors: OpenDoors;
}

/** From now on all requests are answered, on both ports. */
export function serveCalls({
  config,
  log,
  actorOf,
  report,
  downloads,
  jobs,
  always,
  ...parts
}: Served): void {
  const { limits, timeouts } = config;
  const handlers: NodeHandlers = {
    ...jobHandlers(jobs.registry),
    ...auditHandlers(config.audit.file),
    ...parts.replication.handlers,
    ...backupHandlers(parts.streaming, config.backups),
  };
  const methods = createMethodTable(limits);
  const answers: RpcOptions = {
    pools: config.pools.map(({ name }) => name),
    methods,
    discover: createDiscovery(methods, ownVersion()),
    ...limits,
    run: (routed, client, caller) => {
      const { pool, operation } = routed;
      const actor = actorOf(pool);
      if (!actor) return failed.stopping;
      if (isRead(operation)) return actor.read(operation) ?? actor.call<unknown>(operation, client);
      return jobs.calls.run(actor, routed, { caller, client });
    },
    runOnTerms: jobs.calls.runOnTerms,
    runOnNode: (operation, caller, client) => runOnNode(handlers, operation, { caller, client }),
    report,
    onBug: (error) => log.error({ err: error }, "a request could not be answered"),
  };
  const { events, tracing, streaming } = parts;
  const ofReceives = { calls: answers, methods, streaming, maxBodies: limits.downloads };
  const { handle, handleBulk, handleResult: result } = downloads;
  const main = createRoutes({
    ...always,
    rpc: createRpcEndpoint(answers),
    download: handle,
    result,
    receive: createReceives({ ...ofReceives, ...limits }),
    events: events.serve,
    readiness: () => parts.readiness(timeouts.readyMs),
    metrics: parts.metrics.render,
    configured: { peers: Object.keys(config.peers), backups: Object.keys(config.backups) },
    work: createWorkList({ actors: parts.actors, mailbox: limits.mailbox, answerMs: timeouts.readyMs }),
  });
  const ofChannels = { openExtras: events.openOn, beginSpan: tracing?.beginMessage };
  const channels = createRpcChannels({ ...limits, ...answers, ...ofChannels });
  const accept = createChannelAccess(always.gate, channels);
  parts.openDoors({ handle: main, accept }, createBulkRoutes({ ...always, download: handleBulk, result }));
}
