import type { Grant } from "../../protocol/access/roles.js";
import { PLAIN_TEXT, RETRY_AFTER } from "../../protocol/http/headers.js";
import type { HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import { messageOf20 } from "../../protocol/json-rpc/failure-text.js";
import type { Routed } from "../../protocol/json-rpc/methods/method.js";
import { type DownloadRequest, planDownload } from "../../protocol/json-rpc/methods/snapshots.js";
import { FAILURES, type Failure, type Outcome } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import { admitToPool, lacksRole } from "../access/admission.js";

/** What a download asks for: `?id=…`, or a body that is a bare SnapshotRequest. */
function downloadRequest({ query, body }: HttpRequest): DownloadRequest {
  const fields = new URLSearchParams(query);
  const id = fields.get("id");
  return id === null ? { body } : { id, pool: fields.get("pool") ?? "" };
}

/** Plans a download that its caller may make. Fails as GetSnapshot does. */
export function planAllowedDownload(
  request: HttpRequest,
  pools: readonly PoolName[],
  grant: Grant,
): Outcome<Routed> {
  const planned = planDownload(downloadRequest(request), pools);
  return lacksRole("read", grant) ?? (planned.ok ? admitToPool(planned.value, grant) : planned);
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
