import { fail, failed, succeed } from "../../protocol/storage/failures.js";
import type { JobAnswer, JobRecord } from "../../protocol/storage/job-record.js";
import { pageOf } from "../../protocol/storage/page.js";
import { maySee } from "../access/admission.js";
import type { Caller } from "../access/caller.js";
import type { Client } from "../pools/actor-handle.js";
import type { NodeHandlers } from "../rpc/node-handlers.js";
import type { JobRegistry } from "./job-registry.js";

/** How long CancelJob waits for the job to have cleaned up. */
const CANCEL_WAIT_MS = 10_000;

/** Answers about the jobs of what the caller's grant covers. Others are not there for it. */
export function jobHandlers(
  jobs: JobRegistry,
): Pick<NodeHandlers, "ListJobs" | "GetJob" | "WaitJob" | "CancelJob"> {
  function find(id: string, { grant }: Caller): JobAnswer | undefined {
    const found = jobs.find(id);
    return found && maySee(grant, found.job.dataset) ? found : undefined;
  }

  /** Resolves with the job when it has ended, the time is over or the client has gone. */
  function wait(id: string, known: JobAnswer, timeoutMs: number, client: Client): Promise<JobAnswer> {
    return new Promise((resolve) => {
      const stopWaiting = jobs.onceEnded(id, end);
      const giveUp = () => end(jobs.find(id) ?? known);
      const timer = timeoutMs === 0 ? undefined : setTimeout(giveUp, timeoutMs);
      client.onDisconnect(giveUp);
      function end(answer: JobAnswer): void {
        clearTimeout(timer);
        stopWaiting();
        resolve(answer);
      }
    });
  }

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
      const found = find(id, caller);
      return found ? succeed(found) : failed.jobNotFound;
    },

    WaitJob: ({ id, timeoutMs }, { caller, client }) => {
      const found = find(id, caller);
      if (!found) return failed.jobNotFound;
      return found.job.endedAt === null ? wait(id, found, timeoutMs, client).then(succeed) : succeed(found);
    },

    CancelJob: ({ id }, { caller, client }) => {
      const found = find(id, caller);
      if (!found) return failed.jobNotFound;
      const { job } = found;
      if (job.endedAt !== null) return succeed(found);
      const cancel = jobs.cancelOf(id);
      if (!cancel) return fail("job.not_cancellable", `${job.method} can't be cancelled once it has begun`);
      const ended = wait(id, found, CANCEL_WAIT_MS, client);
      cancel();
      return ended.then(succeed);
    },
  };
}
