import { randomBytes } from "node:crypto";
import { Cron } from "croner";
import type { Logger } from "pino";
import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import {
  FAILURES,
  type Failure,
  internalFailure,
  type Outcome,
  succeed,
} from "../../protocol/storage/failures.js";
import { childOf, type PoolName } from "../../protocol/storage/names.js";
import type { ReplicationRecord } from "../../protocol/storage/replication-record.js";
import { maySee } from "../access/admission.js";
import type { Caller } from "../access/caller.js";
import type { ReplicationSettings } from "../config/replication-settings.js";
import type { CallReport } from "../observability/call-report.js";
import type { MeasuredReplication } from "../observability/replication-metrics.js";
import type { Asker, NodeHandlers } from "../rpc/node-handlers.js";

/** Who makes the pulls, as the audit file and the jobs have it. */
const REPLICATION: Caller = { id: "replication", grant: { role: "admin" } };

/** A pull that failed and may succeed by itself is repeated after this time, and after twice as long each time. */
const FIRST_PAUSE_MS = 30_000;
const LONGEST_PAUSE_MS = 30 * 60_000;

interface ReplicationOptions {
  readonly entries: readonly ReplicationSettings[];
  readonly pools: readonly PoolName[];
  /** Runs a change of a pool as a job. Undefined: the pool is not served now. */
  run(routed: Routed, asker: Asker): Promise<Outcome<unknown>> | undefined;
  report(call: CallReport, answer?: unknown): void;
  readonly log: Logger;
}

/** Pulls that are made by a schedule. */
export interface Replication {
  readonly handlers: Pick<NodeHandlers, "ListReplications">;
  list(): readonly ReplicationRecord[];
  measures(): readonly MeasuredReplication[];
  /** Begins no more pulls. Those that run go on. */
  stop(): void;
}

/** One volume and its schedule. */
interface Line {
  readonly record: () => ReplicationRecord;
  readonly measure: () => MeasuredReplication;
  stop(): void;
}

const timeOf = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString());

function pauseAfter(failures: number): number {
  const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  // Not all at once, where a source was away for all.
  return most * (0.5 + Math.random() / 2);
}

/** From the next run of a schedule to the one after it; undefined where there are no two. */
function intervalOf(cron: Cron): number | undefined {
  const [next, after] = cron.nextRuns(2);
  return next && after && after.getTime() - next.getTime();
}

/** The configuration has been checked: there is one. */
function poolOf({ pool }: ReplicationSettings, pools: readonly PoolName[]): PoolName {
  const found = pools.find((name) => name === pool) ?? pools[0];
  if (found === undefined) throw new Error("there is no pool");
  return found;
}

function startLine(entry: ReplicationSettings, options: ReplicationOptions): Line {
  const { peer, source, schedule, force } = entry;
  const pool = poolOf(entry, options.pools);
  const target = childOf(pool, entry.volume);
  let isRunning = false;
  let startedAt: number | undefined;
  let upToDateAt: number | undefined;
  let bytes: number | null = null;
  let failures = 0;
  const sinceMs = Date.now();
  const totals = { succeeded: 0, failed: 0, bytes: 0 };
  let failure: Failure | undefined;
  /** Runs while a pull that failed waits for its repeat. */
  let repeat: NodeJS.Timeout | undefined;

  async function pull(): Promise<void> {
    clearTimeout(repeat);
    repeat = undefined;
    if (isRunning) return;
    const operation = { op: "PullVolume", target, peer, source, force } as const;
    const client = { requestId: randomBytes(6).toString("hex"), peer: "", onDisconnect: () => {} };
    const running = options.run({ pool, operation }, { caller: REPLICATION, client });
    if (!running) return;
    isRunning = true;
    const begin = Date.now();
    startedAt = begin;
    const outcome = await running.catch(internalFailure);
    isRunning = false;
    options.report(
      {
        ...{ method: "PullVolume", pool, operation, client, caller: REPLICATION.id },
        ...{
          code: outcome.ok ? "ok" : outcome.failure.code,
          ms: Date.now() - begin,
          requestId: client.requestId,
        },
        message: outcome.ok ? undefined : outcome.failure.message,
        detail: outcome.ok ? undefined : outcome.failure.detail,
      },
      outcome.ok ? outcome.value : undefined,
    );
    if (outcome.ok) onPulled(begin, Number(Object(outcome.value).received));
    else onFailed(outcome.failure);
  }

  function onPulled(begin: number, received: number): void {
    upToDateAt = begin;
    bytes = received;
    totals.succeeded++;
    totals.bytes += received;
    failures = 0;
    failure = undefined;
  }

  function onFailed(found: Failure): void {
    failures++;
    totals.failed++;
    failure = found;
    if (!FAILURES[found.code].retryable) return;
    repeat = setTimeout(() => void pull(), pauseAfter(failures)).unref();
  }

  const cron = new Cron(schedule, { unref: true }, () => pull());
  return {
    stop: () => {
      cron.stop();
      clearTimeout(repeat);
    },
    measure: () => ({
      ...{ volume: target, peer, sinceMs, upToDateAt, failures, ...totals },
      intervalMs: intervalOf(cron),
    }),
    record: () => ({
      ...{ id: target, pool, peer, source, schedule, state: isRunning ? "running" : "waiting" },
      ...{ startedAt: timeOf(startedAt), upToDateAt: timeOf(upToDateAt), bytes, failures },
      failure: failure ? { code: failure.code, message: failure.message } : null,
      nextAt: cron.nextRun()?.toISOString() ?? null,
    }),
  };
}

/** Begins the schedules of the configuration. */
export function startReplication(options: ReplicationOptions): Replication {
  const lines = options.entries.map((entry) => startLine(entry, options));
  const list = () => lines.map((line) => line.record());
  return {
    list,
    measures: () => lines.map((line) => line.measure()),
    stop: () => {
      for (const line of lines) line.stop();
    },
    handlers: {
      ListReplications: (_ask, { caller }) => succeed(list().filter(({ id }) => maySee(caller.grant, id))),
    },
  };
}
