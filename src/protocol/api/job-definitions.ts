import { JOB_STATES } from "../storage/job-record.js";
import { type MethodDefinition, optional, required } from "./definition.js";
import { count, listOf, object, oneOf, record, text, word } from "./json-schema.js";
import { pageParams } from "./page-params.js";

const id = required(text("The job's id."));
const ofOtherMethods = optional(text("Of no use here: the id of a job is unique over all pools."));

const oneJob = object({ jobs: oneOf(record("Job")) });
const ofItsId = { "request.missing_field": "`need an id`", "job.not_found": "`not found`" } as const;

const fetching = {
  id: "mjb2k1a09f3c21d4-0000003",
  method: "RequestImage",
  pool: "tank",
  dataset: "tank/images/golden",
  caller: null,
  peer: "127.0.0.1",
  requestId: "5f0c1c6e",
  state: "running",
  phase: "receiving",
  bytes: 734003200,
  totalBytes: null,
  bytesPerSecond: 104857600,
  etaSeconds: null,
  createdAt: "2026-01-02T03:04:05.000Z",
  startedAt: "2026-01-02T03:04:05.500Z",
  endedAt: null,
  failure: null,
  repeatSafe: true,
};

export const JOB_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ListJobs: {
    summary: "Lists what lasts: what runs, and what has ended",
    description: "A caller sees the jobs of the pools and names that its token is for.",
    params: {
      state: optional(word(JOB_STATES, "Only jobs in this state.")),
      method: optional(text("Only jobs of this method; `download` for downloads.")),
      pool: optional(text("Only jobs of this pool. Without it, of all.")),
      ...pageParams("the job's id"),
    },
    result: object({ jobs: listOf(record("Job")) }),
    effect: "read",
    answeredBy: "daemon",
    failures: {
      "request.invalid": "`not a state of jobs`",
      "pool.not_found": "`no such pool is configured: …`",
    },
    since: "0.1.0",
    examples: [{ name: "what runs", params: { state: "running" }, result: { jobs: [fetching] } }],
  },
  GetJob: {
    summary: "Shows a job",
    params: { id, pool: ofOtherMethods },
    result: oneJob,
    effect: "read",
    answeredBy: "daemon",
    failures: ofItsId,
    since: "0.1.0",
    examples: [{ name: "a fetch", params: { id: fetching.id }, result: { jobs: [fetching] } }],
  },
  WaitJob: {
    summary: "Answers with a job when it has ended, or when the time is over",
    description: "The job of a request with `background` has the answer of its method as `result` then.",
    params: {
      id,
      timeoutMs: optional(count("How long to wait; 0 or none for as long as it lasts.", "ms")),
      pool: ofOtherMethods,
    },
    result: oneJob,
    effect: "read",
    answeredBy: "daemon",
    failures: ofItsId,
    since: "0.1.0",
    examples: [
      { name: "for a second", params: { id: fetching.id, timeoutMs: 1000 }, result: { jobs: [fetching] } },
    ],
  },
  CancelJob: {
    summary: "Ends a job, which then leaves nothing behind",
    description:
      "Fetches, copies of volumes and downloads can be cancelled. A fetch that others wait for goes on for them. It answers when the job has ended, or after ten seconds; a job that has ended is answered as it is.",
    params: { id, pool: ofOtherMethods },
    result: oneJob,
    effect: "repeatable",
    answeredBy: "daemon",
    failures: { ...ofItsId, "job.not_cancellable": "`… can't be cancelled once it has begun`" },
    since: "0.1.0",
    examples: [
      {
        name: "a fetch",
        params: { id: fetching.id },
        result: {
          jobs: [
            {
              ...fetching,
              ...{ state: "cancelled", phase: null, bytesPerSecond: null },
              endedAt: "2026-01-02T03:04:15.000Z",
              failure: { code: "job.cancelled", message: "cancelled by a client", retryable: false },
            },
          ],
        },
      },
    ],
  },
};
