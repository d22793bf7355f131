import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import type { Outcome } from "../../protocol/storage/failures.js";
import type { JobProgress } from "../../protocol/storage/job-record.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { OperationName } from "../../protocol/storage/operations.js";
import { partialOf } from "../../protocol/storage/partial-name.js";
import { datasetsOf } from "../access/admission.js";
import type { FetchState } from "../downloads/pending-fetch.js";
import type { Asker } from "../rpc/node-handlers.js";
import type { JobRegistry, JobStart } from "./job-registry.js";

/**
 * Operations that may last: their calls are jobs. Whether the same request may be made again without a look:
 * a deletion may meet what was made since, a rollback loses what was written since, and a new snapshot
 * would find itself.
 */
const LASTING: Partial<Readonly<Record<OperationName, { readonly repeatSafe: boolean }>>> = {
  RequestImage: { repeatSafe: true },
  DeleteImage: { repeatSafe: false },
  CloneImage: { repeatSafe: true },
  DeleteDataset: { repeatSafe: false },
  CreateSnapshot: { repeatSafe: false },
  DeleteSnapshot: { repeatSafe: false },
  RollbackSnapshot: { repeatSafe: false },
  CreateGuestDisks: { repeatSafe: true },
  DeleteGuestsDisks: { repeatSafe: true },
};

export interface LastingOptions {
  readonly jobs: JobRegistry;
  listFetches(): readonly FetchState[];
}

/** Runs the operation of a call. As long as it runs it is a job, if it may last. */
export function runAsJob(
  { jobs, listFetches }: LastingOptions,
  { pool, operation }: Routed,
  { caller, client }: Asker,
  run: () => Promise<Outcome<unknown>>,
): Promise<Outcome<unknown>> {
  const lasting = LASTING[operation.op];
  if (lasting === undefined) return run();
  const start: JobStart = {
    ...{ method: operation.op, pool, dataset: datasetsOf(operation, pool)[0] ?? pool },
    ...{ caller: caller.id ?? null, peer: client.peer, requestId: client.requestId },
    repeatSafe: lasting.repeatSafe,
  };
  const job = jobs.begin(
    operation.op === "RequestImage"
      ? { ...start, progress: createFetchProgress(listFetches, pool, operation.id) }
      : start,
  );
  return run().then((outcome) => {
    job.end(outcome.ok ? undefined : outcome.failure);
    return outcome;
  });
}

/** How far the fetch of an image has come. Undefined until it has begun. */
function createFetchProgress(
  listFetches: LastingOptions["listFetches"],
  pool: PoolName,
  id: string,
): () => JobProgress | undefined {
  const target = partialOf(pool, id);
  /** As the fetch was last seen. */
  let last: JobProgress | undefined;
  return () => {
    const fetch = listFetches().find((each) => each.owner === pool && each.order.target === target);
    if (fetch) {
      const phase = fetch.lastByteAt === 0 ? "connecting" : "receiving";
      last = { phase, bytes: fetch.receivedBytes, totalBytes: null };
    } else if (last) last = { ...last, phase: "finishing" };
    return last;
  };
}
