import { arch, platform, release } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Listener, Transport } from "../../protocol/http/transport.js";
import { messageOf } from "../../protocol/storage/caught-error.js";
import type { Config } from "../config/schema.js";
import type { Downloads } from "../downloads/downloads.js";
import type { StreamingHandle } from "../downloads/streaming-handle.js";
import { ownVersion } from "../own-version.js";
import type { Actor } from "../pools/actor-handle.js";
import type { Readiness } from "../pools/readiness.js";
import { withTimeout } from "../pools/time-limit.js";
import { listProcesses } from "../threads/process-list.js";
import type { ActorPart, Answer, Diagnosis } from "./diagnosis.js";
import { renderDiagnosis } from "./diagnosis-text.js";

export interface DiagnosisSources {
  readonly config: Config;
  readonly transport: Pick<Transport, "software">;
  readonly listener: Pick<Listener, "connections" | "bodyBytesInFlight">;
  /** How many there may be. */
  readonly connections: number;
  /** The same of the port for bulk downloads; undefined without one. */
  readonly mostBulk: number | undefined;
  /** Those of all pools, also of pools that are being opened. */
  actors(): readonly Actor[];
  readonly streaming: Pick<StreamingHandle, "listFetches" | "listStores" | "restarts" | "report">;
  readonly downloads: Pick<Downloads, "states">;
  /** What `/readyz` would tell. It takes no longer than `limitMs`. */
  readiness(limitMs: number): Promise<Readiness>;
}

/** How long each part may take to answer. All are asked at once. */
const PART_LIMIT_MS = 2_000;
/** Less than that, so that the states of the others are known where one pool is silent. */
const READY_LIMIT_MS = 1_500;
/** Of the measurement of the event loop. */
const LOOP_RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;

/**
 * Tells what the daemon does and waits for, as a text for people. It answers within a few seconds,
 * whatever hangs but main itself: a part that does not answer is said to be silent.
 */
export function createDiagnosis(sources: DiagnosisSources): () => Promise<string> {
  const delays = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delays.enable();

  async function measureLoop(): Promise<Diagnosis["loop"]> {
    const before = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    // The delays are those of a timer, its period included.
    const delayMs = (ns: number) => Math.max(0, ns / NS_PER_MS - LOOP_RESOLUTION_MS);
    return {
      nowMs: performance.now() - before,
      p99Ms: delayMs(delays.percentile(99)),
      maxMs: delayMs(delays.max),
      busy: performance.eventLoopUtilization().utilization,
    };
  }

  return async () => {
    const { config, listener, streaming } = sources;
    const [loop, readiness, said, processes, connections, ...actors] = await Promise.all([
      measureLoop(),
      ask(() => sources.readiness(Math.min(config.timeouts.readyMs, READY_LIMIT_MS))),
      ask(streaming.report),
      ask(() => listProcesses(process.pid)),
      ask(() => listener.connections()),
      ...sources.actors().map((actor) => askActor(actor, config)),
    ]);
    return renderDiagnosis({
      at: Date.now(),
      pid: process.pid,
      uptimeMs: process.uptime() * 1_000,
      versions: versionsOf(sources.transport, actors),
      readiness,
      loop,
      actors,
      streaming: { restarts: streaming.restarts, said },
      downloads: sources.downloads.states(),
      fetches: streaming.listFetches(),
      stores: streaming.listStores(),
      http: {
        connections,
        mostConnections: sources.connections,
        mostBulk: sources.mostBulk,
        bodyBytes: listener.bodyBytesInFlight,
      },
      processes,
      config,
    });
  };
}

/** The answer of a part, within two seconds. Never rejects. */
export async function ask<T>(question: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, value: await withTimeout(question(), PART_LIMIT_MS) };
  } catch (error) {
    return { ok: false, why: messageOf(error) };
  }
}

async function askActor(actor: Actor, { pools }: Config): Promise<ActorPart> {
  const said = await ask(() => actor.diagnose(PART_LIMIT_MS));
  const { pool, state, pending, restarts, opened, recentlyLate } = actor;
  const driver = pools.find(({ name }) => name === pool)?.driver ?? "unknown";
  return { pool, driver, state, pending, restarts, opened, recentlyLate, said };
}

function versionsOf(
  { software }: Pick<Transport, "software">,
  actors: readonly ActorPart[],
): Diagnosis["versions"] {
  const sqlite = actors.find(({ opened }) => opened)?.opened?.sqlite ?? "not known: no pool was opened";
  return [
    ...ownVersions(),
    ["transport", software],
    ["sqlite", sqlite],
    ...actors.map(({ pool, driver, opened }): [string, string] => [
      `pool ${pool}`,
      opened ? `${driver}, ${opened.version}` : `${driver}, not opened`,
    ]),
  ];
}

/** The versions that are known without a daemon. */
export function ownVersions(): [name: string, version: string][] {
  return [
    ["imagestore", ownVersion()],
    ["node", `${process.version}, V8 ${process.versions.v8}, libuv ${process.versions.uv}`],
    ["system", `${platform()} ${release()} ${arch()}`],
  ];
}
