import type { WholeReply } from "../../protocol/http/transport.js";
import type { Failure } from "../../protocol/storage/failures.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { Caller } from "../access/caller.js";
import type { CallReport } from "../observability/call-report.js";
import type { DownloadPath } from "./running-download.js";

/** Tells how a download ended, or why there was none. */
export type ReportDownload = (pool: string, failure: Failure | undefined) => void;

/** Begins the clock of a download. `operation`: undefined where it could not be planned. */
export function reportDownload(
  report: (call: CallReport) => void,
  operation: Operation | undefined,
  reply: WholeReply,
  caller: Caller,
  path: DownloadPath,
): ReportDownload {
  const startedAt = performance.now();
  // The reply knows its peer only until it is answered.
  const { requestId, peer, span } = reply;
  return (pool, failure) => {
    report({
      method: "download",
      pool,
      code: failure?.code ?? "ok",
      ms: performance.now() - startedAt,
      requestId,
      client: { peer },
      caller: caller.id,
      operation,
      path,
      traceId: span?.traceId,
      message: failure?.message,
      detail: failure?.cause ?? failure?.detail,
    });
    span?.end(failure?.code);
  };
}
