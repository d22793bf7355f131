import { fail, failed, succeed, tellAbout } from "../../storage/failures.js";
import { JOB_STATES, type JobRecord, type JobState } from "../../storage/job-record.js";
import { choosePool } from "../../storage/names.js";
import { makePage } from "../../storage/page.js";
import { joinWithin } from "../joined.js";
import { string, struct } from "../params.js";
import { type Method, methodOnNode } from "./method.js";
import { pageFields } from "./paging.js";

const encodeJob = (job: JobRecord): string => JSON.stringify(job);
const encodeOneJob = (job: JobRecord): string => `{"jobs":[${encodeJob(job)}]}`;

/** The answer of a list. Undefined if it is longer than `mostBytes`, which is found out early. */
function encodeJobs(jobs: readonly JobRecord[], mostBytes: number): string | undefined {
  const joined = joinWithin(jobs, encodeJob, mostBytes);
  return joined === undefined ? undefined : `{"jobs":[${joined}]}`;
}

function isState(text: string): text is JobState {
  return JOB_STATES.some((state) => state === text);
}

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
    operation: "GetJob",
    role: "read",
    struct: "JobRequest",
    request: struct({ id: string, pool: string }),
    plan: ({ id }) => (id === "" ? failed.needJobId : succeed({ op: "GetJob", id })),
    encode: encodeOneJob,
  }),
];
