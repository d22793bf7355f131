import { failed, succeed } from "../../protocol/storage/failures.js";
import type { JobRecord } from "../../protocol/storage/job-record.js";
import { pageOf } from "../../protocol/storage/page.js";
import { maySee } from "../access/admission.js";
import type { NodeHandlers } from "../rpc/node-handlers.js";
import type { JobRegistry } from "./job-registry.js";

/** Answers about the jobs of what the caller's grant covers. Others are not there for it. */
export function jobHandlers(
  jobs: Pick<JobRegistry, "list" | "find">,
): Pick<NodeHandlers, "ListJobs" | "GetJob"> {
  return {
    ListJobs: ({ state, method, pool, ...page }, { caller }) => {
      const isAsked = (job: JobRecord) =>
        (state === "" || job.state === state) &&
        (method === "" || job.method === method) &&
        (pool === "" || job.pool === pool) &&
        maySee(caller.grant, job.dataset);
      return succeed(pageOf(jobs.list().filter(isAsked), ({ id }) => id, page));
    },

    GetJob: ({ id }, { caller }) => {
      const job = jobs.find(id);
      return job && maySee(caller.grant, job.dataset) ? succeed(job) : failed.jobNotFound;
    },
  };
}
