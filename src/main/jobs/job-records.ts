import { FAILURES, type Failure } from "../../protocol/storage/failures.js";
import type { JobProgress, JobRecord, JobState } from "../../protocol/storage/job-record.js";

/** What is known of a job when it begins. */
export interface JobStart
  extends Pick<JobRecord, "method" | "pool" | "dataset" | "caller" | "peer" | "requestId" | "repeatSafe"> {
  /** Undefined as long as it waits for its turn. Without it the job runs, and moves no bytes. */
  readonly progress?: (() => JobProgress | undefined) | undefined;
}

/** A job under way, as it is put into words. Times are by the clock of Date.now. */
export interface JobFacts {
  readonly start: JobStart;
  readonly id: string;
  readonly createdAt: number;
  /** Undefined while it waits for its turn. */
  readonly startedAt: number | undefined;
  readonly lastProgress: JobProgress | undefined;
  /** Bytes a second, of the last seconds. */
  readonly perSecond: number | undefined;
}

const timeText = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString());

export function runningRecord(job: JobFacts): JobRecord {
  const { bytes = 0, totalBytes = null, phase = null, fetch } = job.lastProgress ?? {};
  const { perSecond } = job;
  const left = totalBytes === null ? undefined : Math.max(0, totalBytes - bytes);
  const hasEta = left !== undefined && perSecond !== undefined && perSecond > 0;
  return recordOf(job, {
    state: job.startedAt === undefined ? "queued" : "running",
    ...{ phase, bytes, totalBytes },
    bytesPerSecond: perSecond === undefined ? null : Math.round(perSecond),
    etaSeconds: hasEta ? Math.ceil(left / perSecond) : null,
    ...{ endedAt: null, failure: null, ...(fetch && { fetch }) },
  });
}

export function endedRecord(job: JobFacts, failure: Failure | undefined, now: number): JobRecord {
  const { bytes = 0, totalBytes = null, fetch } = job.lastProgress ?? {};
  return recordOf(job, {
    state: stateAfter(failure),
    ...{ phase: null, bytes, totalBytes, bytesPerSecond: null, etaSeconds: null },
    endedAt: timeText(now),
    failure: failure ? toldFailure(failure) : null,
    ...(fetch && { fetch }),
  });
}

/** A job that an earlier run of the daemon did not see the end of. `failure` says so. */
export function interruptedRecord(job: JobRecord, failure: Failure, now: number): JobRecord {
  const none = { phase: null, bytesPerSecond: null, etaSeconds: null } as const;
  const endedAt = timeText(now);
  return { ...job, ...none, state: "interrupted", endedAt, failure: toldFailure(failure) };
}

function toldFailure({ code, message }: Failure): JobRecord["failure"] {
  return { code, message, retryable: FAILURES[code].retryable };
}

function stateAfter(failure: Failure | undefined): JobState {
  switch (failure?.code) {
    case undefined:
      return "done";
    case "job.cancelled":
      return "cancelled";
    case "service.interrupted":
    case "service.stopping":
      return "interrupted";
    default:
      return "failed";
  }
}

type Told = Pick<
  JobRecord,
  | "state"
  | "phase"
  | "bytes"
  | "totalBytes"
  | "bytesPerSecond"
  | "etaSeconds"
  | "endedAt"
  | "failure"
  | "fetch"
>;

/** With its members in the order of docs/api.md. */
function recordOf({ id, start, createdAt, startedAt }: JobFacts, told: Told): JobRecord {
  const { method, pool, dataset, caller, peer, requestId, repeatSafe } = start;
  return {
    ...{ id, method, pool, dataset, caller, peer, requestId },
    state: told.state,
    ...{ phase: told.phase, bytes: told.bytes, totalBytes: told.totalBytes },
    ...{ bytesPerSecond: told.bytesPerSecond, etaSeconds: told.etaSeconds },
    createdAt: new Date(createdAt).toISOString(),
    startedAt: timeText(startedAt),
    ...{ endedAt: told.endedAt, failure: told.failure, repeatSafe },
    ...(told.fetch && { fetch: told.fetch }),
  };
}
