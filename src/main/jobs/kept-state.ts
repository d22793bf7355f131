import type { Logger } from "pino";
import { z } from "zod";
import { FAILURES, type FailureCode, fail } from "../../protocol/storage/failures.js";
import { JOB_STATES, type JobAnswer } from "../../protocol/storage/job-record.js";
import { interruptedRecord } from "./job-records.js";
import type { KeyLine } from "./repeated-calls.js";

/** What earlier runs of the daemon have left of jobs, and of requests with keys. Each oldest first. */
export interface KeptState {
  readonly jobs: readonly JobAnswer[];
  readonly keys: readonly KeyLine[];
}

const time = z.iso.datetime();
const number = z.number().nonnegative();

const jobLine = z.object({
  job: z.object({
    id: z.string(),
    method: z.string(),
    pool: z.string(),
    dataset: z.string(),
    caller: z.string().nullable(),
    peer: z.string(),
    requestId: z.string(),
    state: z.enum(JOB_STATES),
    phase: z.enum(["waiting", "connecting", "receiving", "sending", "finishing"]).nullable(),
    bytes: number,
    totalBytes: number.nullable(),
    bytesPerSecond: number.nullable(),
    etaSeconds: number.nullable(),
    createdAt: time,
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    failure: z
      .object({
        code: z.string().refine((code): code is FailureCode => code in FAILURES),
        message: z.string(),
        retryable: z.boolean(),
      })
      .nullable(),
    repeatSafe: z.boolean(),
    fetch: z.object({ source: z.string(), requests: number, repeatedBytes: number }).optional(),
  }),
  result: z.string().optional(),
});

const keyLine = z.object({
  key: z.object({
    name: z.string(),
    fingerprint: z.string(),
    job: z.string(),
    at: z.number(),
    state: z.enum(["begun", "done", "open", "gone"]),
    answer: z.string().optional(),
  }),
}) satisfies z.ZodType<{ readonly key: KeyLine }>;

const interrupted = fail(
  "service.interrupted",
  "imagestore ended before this did: whether it did what was asked is not known",
).failure;

/** Reads the lines that were kept. Of a job or a key the last line counts. Lines of another form are logged. */
export function readKeptState(lines: readonly unknown[], log: Pick<Logger, "warn">): KeptState {
  const jobs = new Map<string, JobAnswer>();
  const keys = new Map<string, KeyLine>();
  let unknown = 0;
  for (const line of lines) {
    const asJob = jobLine.safeParse(line);
    const asKey = asJob.success ? undefined : keyLine.safeParse(line);
    if (asJob.success) {
      const { job, result } = asJob.data;
      jobs.set(job.id, result === undefined ? { job } : { job, result });
    } else if (asKey?.success) keys.set(asKey.data.key.name, asKey.data.key);
    else unknown++;
  }
  if (unknown > 0) log.warn({ lines: unknown }, "lines of the file of jobs are not understood");
  const now = Date.now();
  return {
    jobs: Array.from(jobs.values(), (answer) =>
      answer.job.endedAt === null ? { job: interruptedRecord(answer.job, interrupted, now) } : answer,
    ),
    keys: [...keys.values()],
  };
}
