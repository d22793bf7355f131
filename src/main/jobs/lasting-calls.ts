import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import type { JobProgress } from "../../protocol/storage/job-record.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { OperationName } from "../../protocol/storage/operations.js";
import { partialOf } from "../../protocol/storage/partial-name.js";
import { datasetsOf } from "../access/admission.js";
import type { FetchState } from "../downloads/pending-fetch.js";
import type { Asker } from "../rpc/node-handlers.js";
import type { JobStart } from "./job-records.js";

/** Operations that may last: their calls are jobs, whether their clients wait or not. */
const LASTING: ReadonlySet<OperationName> = new Set<OperationName>([
  "RequestImage",
  "DeleteImage",
  "CloneImage",
  "DeleteDataset",
  "CreateSnapshot",
  "SnapshotGuest",
  "CloneSnapshot",
  "DeleteSnapshot",
  "RollbackSnapshot",
  "CreateGuestDisks",
  "DeleteGuestsDisks",
]);

/**
 * Changes that must not be repeated without a look. A rollback loses what was written since; a deletion, and a
 * volume that gets the name of another, may meet what was made since; a new snapshot or a promoted volume
 * would find itself. All that is `once` in the definitions is here (src/protocol/api).
 */
const UNSAFE_TO_REPEAT: ReadonlySet<OperationName> = new Set<OperationName>([
  "DeleteImage",
  "DeleteDataset",
  "CreateSnapshot",
  "SnapshotGuest",
  "DeleteSnapshot",
  "RollbackSnapshot",
  "RenameVolume",
  "PromoteVolume",
  "DeleteBookmark",
]);

export function mayLast({ operation }: Routed): boolean {
  return LASTING.has(operation.op);
}

/** The job that the call of a change is. */
export function jobOfCall(
  { pool, operation }: Routed,
  { caller, client }: Asker,
  listFetches: () => readonly FetchState[],
): JobStart {
  const start: JobStart = {
    ...{ method: operation.op, pool, dataset: datasetsOf(operation, pool)[0] ?? pool },
    ...{ caller: caller.id ?? null, peer: client.peer, requestId: client.requestId },
    repeatSafe: !UNSAFE_TO_REPEAT.has(operation.op),
  };
  if (operation.op !== "RequestImage") return start;
  return { ...start, progress: createFetchProgress(listFetches, pool, operation.id) };
}

/** How far the fetch of an image has come. Undefined until it has begun. */
function createFetchProgress(
  listFetches: () => readonly FetchState[],
  pool: PoolName,
  id: string,
): () => JobProgress | undefined {
  const target = partialOf(pool, id);
  /** The fetch, once it was seen. */
  let seen: FetchState | undefined;
  return () => {
    const fetch = listFetches().find((each) => each.owner === pool && each.order.target === target);
    seen = fetch ?? seen;
    if (!seen) return undefined;
    const { receivedBytes: bytes, lastByteAt, totalBytes = null } = seen.latest();
    if (!fetch) return { phase: "finishing", bytes, totalBytes };
    return { phase: lastByteAt === 0 ? "connecting" : "receiving", bytes, totalBytes };
  };
}
