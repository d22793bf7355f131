import type { Grant } from "../../protocol/access/roles.js";
import { PLAIN_TEXT, RETRY_AFTER } from "../../protocol/http/headers.js";
import type { Headers, HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import { messageOf20 } from "../../protocol/json-rpc/failure-text.js";
import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import { type QueryField, readSendRate } from "../../protocol/json-rpc/methods/send-query.js";
import { type DownloadRequest, planDownload } from "../../protocol/json-rpc/methods/snapshots.js";
import { FAILURES, type Failure, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { Operation, SendTicket } from "../../protocol/storage/operations.js";
import { admitToPool, lacksRole } from "../access/admission.js";
import type { DownloadPath } from "./running-download.js";

/** What a download asks for: `?id=…`, or a body that is a bare SnapshotRequest. */
function downloadRequest(field: QueryField, body: string): DownloadRequest {
  const id = field("id");
  return id === null ? { body } : { id, pool: field("pool") ?? "" };
}

/** A download that its caller may make. */
export interface PlannedDownload extends Routed {
  /** What it is held to, bytes a second; undefined: nothing but what all are. */
  readonly rate: number | undefined;
  /** What is equal where clients ask for the same bytes at the same rate. */
  readonly wish: string;
}

/** Plans a download that its caller may make. Fails as GetSnapshot, readSendTerms and readSendRate do. */
export function planAllowedDownload(
  request: HttpRequest,
  pools: readonly PoolName[],
  grant: Grant,
): Outcome<PlannedDownload> {
  const fields = new URLSearchParams(request.query);
  const field: QueryField = (name) => fields.get(name);
  const planned = planDownload(downloadRequest(field, request.body), pools, field);
  const admitted = lacksRole("read", grant) ?? (planned.ok ? admitToPool(planned.value, grant) : planned);
  if (!admitted.ok) return admitted;
  const rate = readSendRate(field);
  if (!rate.ok) return rate;
  const wish = JSON.stringify([admitted.value.operation, rate.value]);
  return succeed({ ...admitted.value, rate: rate.value, wish });
}

/** Answers a download with a clean error. */
export function refuseDownload(reply: WholeReply, failure: Failure): void {
  const { http } = FAILURES[failure.code];
  const text = failure.code === "service.overloaded" ? messageOf20(failure) : failure.message;
  reply.send(http, http === 503 ? [...PLAIN_TEXT, ...RETRY_AFTER] : PLAIN_TEXT, `${text}\n`);
}

/** The member of the query with which a client asks to be sent to the port for bulk downloads. */
const REDIRECT = "redirect";

export function asksForRedirect({ query }: HttpRequest): boolean {
  return query.includes(REDIRECT) && new URLSearchParams(query).get(REDIRECT) === "1";
}

/** The member with which a client asks about how long the stream will be. */
const ESTIMATE = "estimate";

/** What the actor is asked for a download on a path. */
export function asAsked(operation: Operation, { query }: HttpRequest, path: DownloadPath): Operation {
  if (operation.op !== "OpenSend") return operation;
  const wantsEstimate = query.includes(ESTIMATE) && new URLSearchParams(query).get(ESTIMATE) === "1";
  return { ...operation, isDirect: path === "bulk", wantsEstimate };
}

/**
 * Where the same request is served as a bulk download: by the host that the client has used, at
 * another port. Undefined where the client did not say which host that is.
 */
export function bulkLocation(request: HttpRequest, port: number): string | undefined {
  const host = request.header("host").replace(/:\d*$/, "");
  if (host === "") return undefined;
  const fields = new URLSearchParams(request.query);
  fields.delete(REDIRECT);
  const query = fields.toString();
  return `http://${host}:${port}${request.path}${query === "" ? "" : `?${query}`}`;
}

/** Of a reply that is a stream. The estimate is no Content-Length: the stream may be longer, or shorter. */
export function headersOf(id: string, { estimatedBytes }: SendTicket): Headers {
  return [
    ["Content-Type", "application/octet-stream"],
    ["X-Download-Id", id],
    ...(estimatedBytes === undefined ? [] : [["X-Estimated-Bytes", String(estimatedBytes)] as const]),
  ];
}
