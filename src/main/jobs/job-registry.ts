import { FAILURES, type Failure } from "../../protocol/storage/failures.js";
import type { JobProgress, JobRecord, JobState } from "../../protocol/storage/job-record.js";
import { createJobRate } from "./job-rate.js";

/** What is known of a job when it begins. */
export interface JobStart
  extends Pick<JobRecord, "method" | "pool" | "dataset" | "caller" | "peer" | "requestId" | "repeatSafe"> {
  /** Undefined as long as it waits for its turn. Without it the job runs, and moves no bytes. */
  progress?(): JobProgress | undefined;
}

export interface RunningJob {
  readonly id: string;
  /** The job has ended, with this failure or well. Call it once. */
  end(failure: Failure | undefined): void;
}

/** The work under way that lasts, and the last of what has ended. */
export interface JobRegistry {
  begin(start: JobStart): RunningJob;
  /** In the order in which they began, which is that of their ids. */
  list(): readonly JobRecord[];
  find(id: string): JobRecord | undefined;
  stop(): Promise<void>;
}

export interface RegistryOptions {
  /** Of this run of the daemon: the ids of its jobs begin so. */
  readonly runId: string;
}

/** How many jobs that have ended are known. */
const MOST_ENDED = 1_000;
/** One that was over sooner is forgotten: there may be thousands of these each second. */
const SHORT_MS = 1_000;
/** How often the rate of those that move bytes is measured. */
const SAMPLE_MS = 500;
/** Digits of a job's number, so that ids sort as their numbers do. */
const ID_DIGITS = 7;

interface Job {
  readonly start: JobStart;
  readonly id: string;
  readonly createdAt: number;
  /** Undefined while it waits for its turn. */
  startedAt: number | undefined;
  readonly rate: ReturnType<typeof createJobRate>;
  lastProgress: JobProgress | undefined;
}

export function createJobRegistry({ runId }: RegistryOptions): JobRegistry {
  const running = new Map<string, Job>();
  /** Oldest first, at most MOST_ENDED. */
  const ended = new Map<string, JobRecord>();
  let lastNumber = 0;
  /** Runs exactly while there are jobs that run. */
  let timer: NodeJS.Timeout | undefined;

  function look(job: Job, now: number): void {
    const { progress } = job.start;
    const current = progress?.();
    if (job.startedAt === undefined && (progress === undefined || current)) job.startedAt = now;
    if (!current) return;
    job.lastProgress = current;
    job.rate.sample(current.bytes, now);
  }

  function lookAtAll(): void {
    const now = Date.now();
    for (const job of running.values()) look(job, now);
  }

  function end(job: Job, failure: Failure | undefined): void {
    const now = Date.now();
    running.delete(job.id);
    if (running.size === 0) timer = void clearInterval(timer);
    if (now - job.createdAt < SHORT_MS) return;
    ended.set(job.id, endedRecord(job, failure, now));
    for (const id of ended.keys()) {
      if (ended.size <= MOST_ENDED) break;
      ended.delete(id);
    }
  }

  const current = (job: Job): JobRecord => {
    look(job, Date.now());
    return runningRecord(job);
  };
  return {
    begin: (start) => {
      const id = `${runId}-${(++lastNumber).toString(36).padStart(ID_DIGITS, "0")}`;
      const now = Date.now();
      const job: Job = {
        ...{ start, id, createdAt: now, startedAt: start.progress ? undefined : now },
        ...{ rate: createJobRate(), lastProgress: undefined },
      };
      running.set(id, job);
      timer ??= setInterval(lookAtAll, SAMPLE_MS).unref();
      return { id, end: (failure) => end(job, failure) };
    },
    list: () =>
      [...ended.values(), ...Array.from(running.values(), current)].sort((a, b) => (a.id < b.id ? -1 : 1)),
    find: (id) => {
      const job = running.get(id);
      return job ? current(job) : ended.get(id);
    },
    stop: async () => clearInterval(timer),
  };
}

const timeText = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString());

function runningRecord(job: Job): JobRecord {
  const { bytes = 0, totalBytes = null, phase = null } = job.lastProgress ?? {};
  const { perSecond } = job.rate;
  const left = totalBytes === null ? undefined : Math.max(0, totalBytes - bytes);
  const hasEta = left !== undefined && perSecond !== undefined && perSecond > 0;
  return recordOf(job, {
    state: job.startedAt === undefined ? "queued" : "running",
    ...{ phase, bytes, totalBytes },
    bytesPerSecond: perSecond === undefined ? null : Math.round(perSecond),
    etaSeconds: hasEta ? Math.ceil(left / perSecond) : null,
  });
}

function endedRecord(job: Job, failure: Failure | undefined, now: number): JobRecord {
  const { bytes = 0, totalBytes = null } = job.lastProgress ?? {};
  return recordOf(job, {
    state: failure ? "failed" : "done",
    ...{ phase: null, bytes, totalBytes, bytesPerSecond: null, etaSeconds: null },
    endedAt: timeText(now),
    failure: failure
      ? { code: failure.code, message: failure.message, retryable: FAILURES[failure.code].retryable }
      : null,
  });
}

type Told = Pick<JobRecord, "phase" | "bytes" | "totalBytes" | "bytesPerSecond" | "etaSeconds"> &
  Partial<Pick<JobRecord, "endedAt" | "failure">> & { readonly state: JobState };

function recordOf({ id, start, createdAt, startedAt }: Job, told: Told): JobRecord {
  const { method, pool, dataset, caller, peer, requestId, repeatSafe } = start;
  return {
    ...{ id, method, pool, dataset, caller, peer, requestId },
    state: told.state,
    ...{ phase: told.phase, bytes: told.bytes, totalBytes: told.totalBytes },
    ...{ bytesPerSecond: told.bytesPerSecond, etaSeconds: told.etaSeconds },
    createdAt: new Date(createdAt).toISOString(),
    startedAt: timeText(startedAt),
    endedAt: told.endedAt ?? null,
    failure: told.failure ?? null,
    repeatSafe,
  };
}
