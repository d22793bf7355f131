import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import type { Routed } from "../protocol/json-rpc/methods.js";
import { fail, failed, type Outcome, succeed } from "../protocol/storage/failures.js";
import type { PoolName } from "../protocol/storage/names.js";
import type { Config } from "./config/schema.js";
import { createDownloads, type Downloads } from "./downloads/downloads.js";
import { startStreaming } from "./downloads/streaming-handle.js";
import { chooseTransport } from "./http/choose.js";
import { allowing, JSON_TEXT, PLAIN_TEXT } from "./http/headers.js";
import type { HttpReply, HttpRequest, Listener } from "./http/transport.js";
import { createMetrics } from "./observability/metrics.js";
import { type Actor, startActor } from "./pools/actor-handle.js";
import { type CallReport, handleRpc, type RpcOptions } from "./rpc/rpc.js";

/** A running imagestore. */
export interface Daemon {
  readonly host: string;
  readonly port: number;
  readonly transport: "uws" | "node";
  readonly actors: ReadonlyMap<PoolName, Actor>;
  /** Ends the streaming thread as a crash would. For tests of that. */
  crashStreaming(): Promise<void>;
  /** Stops in order: listener, running operations up to graceMs, streams, records, threads. */
  stop(): Promise<void>;
}

/** What is given up after graceMs needs a moment to end its processes. */
const GIVE_UP_MS = 5_000;

/**
 * Starts everything, or nothing: what was started before a failure is stopped again.
 * Fails with one clear line: the pool is missing, no zfs, no permission, port in use.
 */
export async function startDaemon(config: Config, log: Logger): Promise<Outcome<Daemon>> {
  const runId = randomBytes(4).toString("hex");
  const actors = new Map<PoolName, Actor>();
  const streaming = startStreaming({
    settings: config.timeouts,
    windowBytes: config.limits.streamWindowBytes,
    folder: config.dataDir,
    log,
  });
  let downloads: Downloads | undefined;

  const metrics = createMetrics({
    actors: () =>
      [...actors.values()].map(({ pool, pending, restarts, state }) => ({
        pool,
        pending,
        restarts,
        ready: state === "ready",
      })),
    downloads: () => downloads?.active ?? 0,
    fetches: () => streaming.fetches,
  });
  const stopWorkers = async () => {
    await Promise.all([...actors.values()].map((actor) => actor.stop()));
    await streaming.stop();
  };

  const pools = config.pools.map((pool) => pool.name);
  const started = await Promise.all(
    config.pools.map((pool) =>
      startActor({
        settings: { pool, node: config, runId },
        mailbox: config.limits.mailbox,
        log,
        fetch: (order) => streaming.fetch(pool.name, order),
        onSpawn: (ms) => metrics.spawned(pool.name, ms),
        abandonFetches: () => streaming.abandonFetches(pool.name),
        liveTags: () => downloads?.liveTags(pool.name) ?? [],
      }).catch((error: unknown) => fail("internal", `pool ${pool.name}: ${String(error)}`)),
    ),
  );
  for (const actor of started) if (actor.ok) actors.set(actor.value.pool, actor.value);
  const refused = started.find((actor) => !actor.ok);
  if (refused && !refused.ok) {
    await stopWorkers();
    return refused;
  }

  let stopping = false;
  const report = (call: CallReport) => {
    metrics.observe(call);
    if (log.isLevelEnabled("info")) log.info({ ...call, ms: Math.round(call.ms * 100) / 100 }, "call");
  };
  const rpc: RpcOptions = {
    pools,
    batchLength: config.limits.batchLength,
    run: ({ pool, operation }: Routed) => {
      const actor = stopping ? undefined : actors.get(pool);
      if (!actor) return failed.stopping;
      return actor.read(operation) ?? actor.call<unknown>(operation);
    },
    report,
    onBug: (error) => log.error({ err: error }, "a request could not be answered"),
  };
  downloads = createDownloads({
    pools,
    streaming,
    maxDownloads: config.limits.downloads,
    windowBytes: config.limits.streamWindowBytes,
    stalledReaderMs: config.timeouts.stalledReaderMs,
    actorOf: (pool) => (stopping ? undefined : actors.get(pool)),
    onBytes: metrics.streamed,
    report,
  });
  const { handle: handleDownload, endAll } = downloads;

  const ready = async (reply: HttpReply) => {
    const states = await Promise.all(
      [...actors.values()].map(async (actor) => {
        try {
          await actor.stats(config.timeouts.readyMs);
          return [actor.pool, "ready"] as const;
        } catch (error) {
          return [actor.pool, (error as Error).message] as const;
        }
      }),
    );
    const allReady = !stopping && states.every(([, state]) => state === "ready");
    const body = JSON.stringify({ ready: allReady, stopping, pools: Object.fromEntries(states) });
    reply.send(allReady ? 200 : 503, JSON_TEXT, `${body}\n`);
  };

  const probe = (request: HttpRequest, reply: HttpReply, answer: () => void | Promise<void>) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return reply.send(405, allowing("GET, HEAD"), `method not allowed: ${request.method}\n`);
    }
    void answer();
  };

  const handle = (request: HttpRequest, reply: HttpReply) => {
    switch (request.path) {
      case "/_mistify_RPC_":
        return handleRpc(rpc, "1.0", request, reply);
      case "/rpc":
        return handleRpc(rpc, "2.0", request, reply);
      case "/snapshots/download":
        return handleDownload(request, reply);
      case "/healthz":
        return probe(request, reply, () => reply.send(200, PLAIN_TEXT, "ok\n"));
      case "/readyz":
        return probe(request, reply, () => ready(reply));
      case "/metrics":
        return probe(request, reply, async () => {
          const { type, text } = await metrics.render();
          reply.send(200, [["Content-Type", type]], text);
        });
      default:
        reply.send(404, PLAIN_TEXT, "404 page not found\n");
    }
  };

  let listener: Listener;
  let transportName: "uws" | "node";
  try {
    const transport = await chooseTransport(config.listen.transport, (message) => log.warn(message));
    transportName = transport.name;
    const { host, port } = config.listen;
    listener = await transport.listen({ host, port, bodyLimitBytes: config.limits.bodyBytes, handle });
  } catch (error) {
    await stopWorkers();
    return fail("internal", listenProblem(error, config.listen.host, config.listen.port));
  }

  const stop = async () => {
    stopping = true;
    listener.stopAccepting();
    const everyActor = [...actors.values()];
    const drained = await Promise.all(everyActor.map((actor) => actor.drain(config.timeouts.graceMs)));
    for (const [index, actor] of everyActor.entries()) {
      if (!drained[index])
        log.warn({ pool: actor.pool }, "operations did not end within graceMs and are given up");
    }
    await Promise.all([endAll(), ...everyActor.map((actor) => streaming.abandonFetches(actor.pool))]);
    await Promise.all(everyActor.map((actor) => actor.drain(GIVE_UP_MS)));
    await stopWorkers();
    await listener.close();
  };

  return succeed({
    host: config.listen.host,
    port: listener.port,
    transport: transportName,
    actors,
    crashStreaming: streaming.crash,
    stop: once(stop),
  });
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

function listenProblem(error: unknown, host: string, port: number): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} on ${host} is in use: another imagestore may be running`;
    case "EACCES":
      return `no permission to listen on ${host}:${port}`;
    case "EADDRNOTAVAIL":
      return `this machine has no address ${host}`;
    default:
      return message;
  }
}
