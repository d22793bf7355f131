import { isRepeatSafe } from "../../protocol/api/definition.js";
import { DEFINITIONS } from "../../protocol/api/definitions.js";
import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import { shownUrl } from "../../protocol/storage/image-hosts.js";
import type { JobFetch, JobProgress } from "../../protocol/storage/job-record.js";
import type { PoolName } from "../../protocol/storage/names.js";
import { isPull } from "../../protocol/storage/operation-kinds.js";
import type { FetchOrder } from "../../protocol/storage/operations.js";
import { copyPartialOf, incomingOf, partialOf } from "../../protocol/storage/partial-name.js";
import type { FetchProgress } from "../../protocol/threads/fetch-progress.js";
import { partKeyOf } from "../../protocol/threads/transfer-turns.js";
import { datasetsOf } from "../access/admission.js";
import type { FetchState } from "../downloads/pending-fetch.js";
import type { StoreState } from "../downloads/pending-stores.js";
import type { Asker } from "../rpc/node-handlers.js";
import type { JobStart } from "./job-records.js";

/** Operations that are part of a method have no definition: their calls are no jobs, but for those whose stream a client sends. */
export function mayLast({ operation }: Routed): boolean {
  return operation.op === "ReceiveVolume" || DEFINITIONS[operation.op]?.mayLast === true;
}

/** What main knows of the transfers that run. */
export interface Transfers {
  listFetches(): readonly FetchState[];
  listStores(): readonly StoreState[];
}

/** The job that the call of a change is. Most end before anybody asks, so it says little until then. */
export function jobOfCall(routed: Routed, asker: Asker, { listFetches, listStores }: Transfers): JobStart {
  const part = partKeyOf(routed.operation);
  if (part !== undefined)
    return new JobOfCall(routed, asker, createStoreProgress(listStores, routed.pool, part));
  const targets = targetsOf(routed);
  if (targets.length === 0) return new JobOfCall(routed, asker);
  return new JobOfCall(routed, asker, createFetchProgress(listFetches, routed.pool, targets));
}

/** What the fetches of an operation may receive into; none where it fetches nothing. */
function targetsOf({ pool, operation }: Routed): readonly string[] {
  if (operation.op === "RequestImage") return [partialOf(pool, operation.id)];
  if (operation.op === "CopyVolume") return [copyPartialOf(pool, operation.target)];
  if (!isPull(operation) && operation.op !== "ReceiveVolume") return [];
  return [operation.target, incomingOf(pool, operation.target)];
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
    const definition = DEFINITIONS[this.routed.operation.op];
    return definition === undefined || isRepeatSafe(definition);
  }
}

function fetchOf(
  { url, alternates = [], spent }: FetchOrder,
  { requests, repeatedBytes, alternate }: FetchProgress,
): JobFetch {
  return {
    source: shownUrl(alternates[alternate - 1]?.url ?? url),
    requests: requests + (spent?.requests ?? 0),
    repeatedBytes: repeatedBytes + (spent?.bytes ?? 0),
  };
}

/** How far what has several orders for a store has come. Undefined until the first that moves bytes has begun. */
function createStoreProgress(
  listStores: () => readonly StoreState[],
  pool: PoolName,
  key: string,
): () => JobProgress | undefined {
  let last: JobProgress | undefined;
  return () => {
    const found = listStores().find(({ owner, order }) => owner === pool && order.part?.key === key);
    const part = found?.order.part;
    if (found && part) {
      last = { phase: part.phase, bytes: part.before + found.movedBytes, totalBytes: part.total };
    }
    return last;
  };
}

/** How far a fetch has come. Undefined until it has begun. */
function createFetchProgress(
  listFetches: () => readonly FetchState[],
  pool: PoolName,
  targets: readonly string[],
): () => JobProgress | undefined {
  /** The fetch, once it was seen. */
  let seen: FetchState | undefined;
  return () => {
    const fetch = listFetches().find((each) => each.owner === pool && targets.includes(each.order.target));
    seen = fetch ?? seen;
    if (!seen) return undefined;
    const latest = seen.latest();
    const { receivedBytes: bytes, lastByteAt, totalBytes = null } = latest;
    const { sender, body } = seen.order;
    const isFetch = !sender && body === undefined;
    const moved = { bytes, totalBytes, ...(isFetch && { fetch: fetchOf(seen.order, latest) }) };
    if (!fetch) return { phase: "finishing", ...moved };
    return { phase: lastByteAt === 0 ? "connecting" : "receiving", ...moved };
  };
}
