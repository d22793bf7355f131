import type { FailureCode } from "./failures.js";

/** A job is `queued` or `running`, then one of the others, which are final. */
export const JOB_STATES = ["queued", "running", "done", "failed", "cancelled", "interrupted"] as const;

export type JobState = (typeof JOB_STATES)[number];

/** How far a job that moves bytes has come. */
export interface JobProgress {
  /** What it does now, in a word. */
  readonly phase: "waiting" | "connecting" | "receiving" | "sending" | "checking" | "finishing";
  /** Bytes that it has moved. */
  readonly bytes: number;
  /** How many there will be; null where that is not known. */
  readonly totalBytes: number | null;
  /** Of a fetch that has begun. */
  readonly fetch?: JobFetch | undefined;
}

/** Where a fetch gets its bytes from. */
export interface JobFetch {
  /** The URL that it gets it from now, without password and query. */
  readonly source: string;
  /** How often it has asked: 1, and the repeats, and those of other sources. */
  readonly requests: number;
  /** Bytes that came again, or before it began anew. They are not among those that it has moved. */
  readonly repeatedBytes: number;
}

/** Work that lasts, as clients see it. Its members are those of its JSON. Times are RFC 3339. */
export interface JobRecord extends Omit<JobProgress, "phase"> {
  /** Unique over all runs of the daemon. Ids of one run sort in the order of their jobs. */
  readonly id: string;
  /** "download" for a download. */
  readonly method: string;
  readonly pool: string;
  /** What it is about, by its full name. */
  readonly dataset: string;
  /** The id of the token of who asked for it; null where the daemon asks for none. */
  readonly caller: string | null;
  /** The client's address. */
  readonly peer: string;
  readonly requestId: string;
  readonly state: JobState;
  /** Null where it has none, and once the job has ended. */
  readonly phase: JobProgress["phase"] | null;
  /** Of the last seconds; null where it moves no bytes now. */
  readonly bytesPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  /** Of one that has not done what was asked. */
  readonly failure: {
    readonly code: FailureCode;
    readonly message: string;
    readonly retryable: boolean;
  } | null;
  /** Whether the same request may be made again without looking first: see docs/operations.md. */
  readonly repeatSafe: boolean;
}

/** A job, and what its method has answered, as JSON text, where that is known. */
export interface JobAnswer {
  readonly job: JobRecord;
  readonly result?: string;
}
