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

/** The job that the call of a change is. Most end before anybody asks, so it says little until then. */
export function jobOfCall(routed: Routed, asker: Asker, listFetches: () => readonly FetchState[]): JobStart {
  const { pool, operation } = routed;
  if (operation.op !== "RequestImage") return new JobOfCall(routed, asker);
  return new JobOfCall(routed, asker, createFetchProgress(listFetches, pool, operation.id));
}

class JobOfCall implements JobStart {
  readonly caller: string | null;
  readonly peer: string;
  readonly requestId: string;

  constructor(
    private readonly routed: Routed,
    { caller, client }: Asker,
    readonly progress?: JobStart["progress"],
  ) {
    this.caller = caller.id ?? null;
    // Later the client may have gone.
    this.peer = client.peer;
    this.requestId = client.requestId;
  }

  get method() {
    return this.routed.operation.op;
  }

  get pool() {
    return this.routed.pool;
  }

  get dataset() {
    const { operation, pool } = this.routed;
    return datasetsOf(operation, pool)[0] ?? pool;
  }

  get repeatSafe() {
    return !UNSAFE_TO_REPEAT.has(this.routed.operation.op);
  }
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
