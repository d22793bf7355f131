import { fail, failed, succeed, tellAbout } from "../../storage/failures.js";
import { JOB_STATES, type JobAnswer, type JobRecord, type JobState } from "../../storage/job-record.js";
import { choosePool } from "../../storage/names.js";
import { makePage } from "../../storage/page.js";
import { joinWithin } from "../joined.js";
import { string, struct, uint64 } from "../params.js";
import { type Method, methodOnNode } from "./method.js";
import { pageFields } from "./paging.js";

const encodeJob = (job: JobRecord): string => JSON.stringify(job);

/** The job; one that has a result has it as its last member. */
export function encodeOneJob({ job, result }: JobAnswer): string {
  const text = encodeJob(job);
  return `{"jobs":[${result === undefined ? text : `${text.slice(0, -1)},"result":${result}}`}]}`;
}

/** The answer of a list. Undefined if it is longer than `mostBytes`, which is found out early. */
function encodeJobs(jobs: readonly JobRecord[], mostBytes: number): string | undefined {
  const joined = joinWithin(jobs, encodeJob, mostBytes);
  return joined === undefined ? undefined : `{"jobs":[${joined}]}`;
}

function isState(text: string): text is JobState {
  return JOB_STATES.some((state) => state === text);
}

/** `pool` is in every request; the id of a job is unique over all pools. */
const fields = { id: string, pool: string };
const oneJob = { struct: "JobRequest", encode: encodeOneJob } as const;
/** The longest delay of a timer. */
const MOST_WAIT_MS = 2 ** 31 - 1;

/** What main answers itself about work that lasts. */
export const jobMethods: readonly Method[] = [
  methodOnNode({
    operation: "ListJobs",
    role: "read",
    struct: "JobRequest",
    request: struct({ state: string, method: string, pool: string, ...pageFields }),
    plan: ({ state, method, pool, ...page }, pools) => {
      if (state !== "" && !isState(state)) {
        const wanted = `one of ${JOB_STATES.join(", ")}`;
        return tellAbout(fail("request.invalid", "not a state of jobs"), {
          field: "state",
          found: state,
          wanted,
        });
      }
      const scope = choosePool(pools, pool);
      if (!scope.ok) return scope;
      return succeed({ op: "ListJobs", state, method, pool, ...makePage(page) });
    },
    encode: encodeJobs,
  }),
  methodOnNode({
    ...oneJob,
    operation: "GetJob",
    role: "read",
    request: struct(fields),
    plan: ({ id }) => (id === "" ? failed.needJobId : succeed({ op: "GetJob", id })),
  }),
  methodOnNode({
    ...oneJob,
    operation: "WaitJob",
    role: "read",
    request: struct({ ...fields, timeoutMs: uint64 }),
    plan: ({ id, timeoutMs }) => {
      if (id === "") return failed.needJobId;
      const most = timeoutMs < BigInt(MOST_WAIT_MS) ? Number(timeoutMs) : MOST_WAIT_MS;
      return succeed({ op: "WaitJob", id, timeoutMs: most });
    },
  }),
  methodOnNode({
    ...oneJob,
    operation: "CancelJob",
    role: "operate",
    request: struct(fields),
    plan: ({ id }) => (id === "" ? failed.needJobId : succeed({ op: "CancelJob", id })),
  }),
];
