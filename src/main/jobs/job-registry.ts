import { type Failure, failed } from "../../protocol/storage/failures.js";
import type { JobAnswer, JobProgress, JobRecord, JobState } from "../../protocol/storage/job-record.js";
import { createJobRate } from "./job-rate.js";
import { endedRecord, type JobFacts, type JobStart, runningRecord } from "./job-records.js";

export interface RunningJob {
  readonly id: string;
  /** The job can be cancelled from now on: `cancel` asks for it, and the job still has to end. Called once. */
  onCancel(cancel: () => void): void;
  /** The job has ended, with this failure or well. `result`: what it answers, as JSON text. Call it once. */
  end(failure: Failure | undefined, result?: string): void;
}

/** What a listener of jobs is told. `started` comes first, `ended` last. */
export type JobAction = "started" | "progress" | "ended";

/** The work under way that lasts, and the last of what has ended. */
export interface JobRegistry {
  /** `isAsked`: a client knows of it from its beginning, and it is kept however short it is. */
  begin(start: JobStart, isAsked?: boolean): RunningJob;
  /** In the order in which they began, which is that of their ids. */
  list(): readonly JobRecord[];
  find(id: string): JobAnswer | undefined;
  /** How many there are of each state. */
  counts(): ReadonlyMap<JobState, number>;
  /** What asks a job that runs to end; undefined for one that can't be cancelled. */
  cancelOf(id: string): (() => void) | undefined;
  /** Calls `listener` once, when a job that runs has ended. @returns what takes it back. */
  onceEnded(id: string, listener: (ended: JobAnswer) => void): () => void;
  /** Adds jobs of earlier runs, which have ended, oldest first. */
  restore(ended: readonly JobAnswer[]): void;
  /** What still runs is interrupted. */
  stop(): Promise<void>;
}

export interface RegistryOptions {
  /** Of this run of the daemon, later than those of earlier ones: the ids of its jobs begin so. */
  readonly runId: string;
  /**
   * Told of each job that was asked for or has lasted for a second; of its progress when that has
   * changed, twice a second at most.
   */
  onChange(job: JobRecord, action: JobAction, result?: string): void;
}

/** How many jobs that have ended are known, and for how long. */
export const MOST_ENDED = 1_000;
export const KEPT_MS = 7 * 24 * 60 * 60 * 1_000;
/** One that was over sooner is forgotten: there may be thousands of these each second. */
const SHORT_MS = 1_000;
/** How often the rate of those that move bytes is measured. */
const SAMPLE_MS = 500;
/** Digits of a job's number, so that ids sort as their numbers do. */
const ID_DIGITS = 7;

/** There may be thousands each second: what few are asked for is made when it is asked for. */
class Job implements JobFacts, RunningJob {
  readonly createdAt = Date.now();
  startedAt: number | undefined;
  lastProgress: JobProgress | undefined = undefined;
  /** `onChange` was told of it. */
  isTold = false;
  /** How far it had come then. */
  told: JobProgress | undefined = undefined;
  cancel: (() => void) | undefined = undefined;
  private readonly rate: ReturnType<typeof createJobRate> | undefined;
  private waiting: Set<(ended: JobAnswer) => void> | undefined = undefined;

  constructor(
    private readonly runId: string,
    readonly number: number,
    readonly start: JobStart,
    private readonly atEnd: (job: Job, failure: Failure | undefined, result: string | undefined) => void,
  ) {
    this.startedAt = start.progress ? undefined : this.createdAt;
    this.rate = start.progress && createJobRate();
  }

  get id() {
    return `${this.runId}-${this.number.toString(36).padStart(ID_DIGITS, "0")}`;
  }

  get perSecond() {
    return this.rate?.perSecond;
  }

  get waiters(): Set<(ended: JobAnswer) => void> {
    this.waiting ??= new Set();
    return this.waiting;
  }

  /** Nobody was told of it, and nobody asks. */
  get isUnknown(): boolean {
    return !this.isTold && this.waiting === undefined;
  }

  look(now: number): void {
    const current = this.start.progress?.();
    if (!current) return;
    this.startedAt ??= now;
    this.lastProgress = current;
    this.rate?.sample(current.bytes, now);
  }

  onCancel = (cancel: () => void): void => {
    this.cancel = cancel;
  };

  end(failure: Failure | undefined, result?: string): void {
    this.atEnd(this, failure, result);
  }
}

export function createJobRegistry({ runId, onChange }: RegistryOptions): JobRegistry {
  /** By their numbers. */
  const running = new Map<number, Job>();
  /** Oldest first, at most MOST_ENDED. */
  const ended = new Map<string, JobAnswer>();
  let lastNumber = 0;
  /** Runs as long as there are jobs that run. */
  let timer: NodeJS.Timeout | undefined;

  function runningWith(id: string): Job | undefined {
    const job = running.get(Number.parseInt(id.slice(runId.length + 1), 36));
    return job?.id === id ? job : undefined;
  }

  function tell(job: Job, action: Exclude<JobAction, "ended">): void {
    job.told = job.lastProgress;
    job.isTold = true;
    onChange(runningRecord(job), action);
  }

  function lookAtAll(): void {
    const now = Date.now();
    for (const job of running.values()) {
      job.look(now);
      const { isTold, told, lastProgress: last } = job;
      if (!isTold && now - job.createdAt >= SHORT_MS) tell(job, "started");
      else if (isTold && (told?.bytes !== last?.bytes || told?.phase !== last?.phase)) tell(job, "progress");
    }
    if (running.size === 0) timer = void clearInterval(timer);
  }

  function keep(answer: JobAnswer, now: number): void {
    ended.set(answer.job.id, answer);
    for (const [id, { job }] of ended) {
      const isOld = now - Date.parse(job.endedAt ?? "") > KEPT_MS;
      if (ended.size <= MOST_ENDED && !isOld) break;
      ended.delete(id);
    }
  }

  function end(job: Job, failure: Failure | undefined, result: string | undefined): void {
    const now = Date.now();
    running.delete(job.number);
    if (job.isUnknown && now - job.createdAt < SHORT_MS) return;
    job.look(now);
    const record = endedRecord(job, failure, now);
    const answer = result === undefined ? { job: record } : { job: record, result };
    if (!job.isTold && now - job.createdAt >= SHORT_MS) tell(job, "started");
    if (job.isTold) {
      keep(answer, now);
      onChange(record, "ended", result);
    }
    for (const waiter of job.waiters) waiter(answer);
  }

  const current = (job: Job): JobRecord => {
    job.look(Date.now());
    return runningRecord(job);
  };
  return {
    begin: (start, isAsked = false) => {
      const job = new Job(runId, ++lastNumber, start, end);
      running.set(job.number, job);
      timer ??= setInterval(lookAtAll, SAMPLE_MS).unref();
      if (isAsked) tell(job, "started");
      return job;
    },
    list: () => {
      const all = [...Array.from(ended.values(), ({ job }) => job), ...Array.from(running.values(), current)];
      return all.sort((one, other) => (one.id < other.id ? -1 : 1));
    },
    find: (id) => {
      const job = runningWith(id);
      return job ? { job: current(job) } : ended.get(id);
    },
    counts: () => {
      const counts = new Map<JobState, number>();
      const add = (state: JobState) => counts.set(state, (counts.get(state) ?? 0) + 1);
      for (const { job } of ended.values()) add(job.state);
      for (const { startedAt } of running.values()) add(startedAt === undefined ? "queued" : "running");
      return counts;
    },
    cancelOf: (id) => runningWith(id)?.cancel,
    onceEnded: (id, listener) => {
      const waiters = runningWith(id)?.waiters;
      waiters?.add(listener);
      return () => waiters?.delete(listener);
    },
    restore: (earlier) => {
      for (const each of earlier) keep(each, Date.now());
    },
    stop: async () => {
      clearInterval(timer);
      for (const job of running.values()) end(job, failed.stopping.failure, undefined);
    },
  };
}
