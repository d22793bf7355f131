import type { AnyOperation } from "../../protocol/storage/node-operations.js";
import { isRead } from "../../protocol/storage/operation-kinds.js";

/** How a call or a download ended, for the log and the metrics. */
export interface CallReport {
  /** "" where no method was found; "download". */
  readonly method: string;
  /** "" where the request named none that could be served. */
  readonly pool: string;
  /** "ok", or the failure's code. */
  readonly code: string;
  readonly ms: number;
  /** Of the request. Calls of a batch share it. */
  readonly requestId: string;
  /** `peer`: its address; "" if that is not known. To ask for it may cost a call of the kernel. */
  readonly client: { readonly peer: string };
  /** The id of its token; undefined where the daemon asks for none. */
  readonly caller?: string | undefined;
  /** Of its trace; undefined unless it is traced. */
  readonly traceId?: string | undefined;
  /** Undefined where the request was refused without one. */
  readonly operation?: AnyOperation | undefined;
  /** Of a download: by the ring and main, or from its command to the client. */
  readonly path?: "ring" | "bulk" | undefined;
  /** Of a failure: what the client was told. */
  readonly message?: string | undefined;
  /** Of a failure: more of it, which the client may not have been told. */
  readonly detail?: string | undefined;
}

/** What the metrics take of a call. */
export type CountedCall = Pick<CallReport, "method" | "pool" | "code" | "ms">;

/** A request that was refused without a look at the pool is no change, and a download is none. */
export function isChange({ operation }: Pick<CallReport, "operation">): boolean {
  return operation !== undefined && !isRead(operation) && operation.op !== "OpenSend";
}
