import { codeOf } from "../../protocol/storage/caught-error.js";
import { type FailedOutcome, fail } from "../../protocol/storage/failures.js";
import { StreamFailure } from "../../protocol/zfs-stream/stream-failure.js";
import type { Reply } from "./http-get.js";
import { SourceFailure } from "./http-source.js";

/** Of a certificate that nobody known has signed. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  ...["SELF_SIGNED_CERT_IN_CHAIN", "DEPTH_ZERO_SELF_SIGNED_CERT"],
  ...["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
]);

/** Ends a transfer with a failure that is known. */
export class FetchFailure extends Error {
  override readonly name = "FetchFailure";

  constructor(readonly outcome: FailedOutcome) {
    super(outcome.failure.message);
  }
}

/** Of bytes that are not as many as they must be. */
export function wrongSize(found: string, expected: number, url: string): FailedOutcome {
  return fail("image.digest_mismatch", `the image has ${found} bytes, expected ${expected}, url: ${url}`);
}

/** The failure of a transfer that broke before the command had everything. */
export function transferFailure(error: unknown, url: string): FailedOutcome {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : "";
  if (error instanceof FetchFailure) return error.outcome;
  if (error instanceof StreamFailure) {
    return fail("image.bad_stream", `no usable image: ${message}, url: ${url}`);
  }
  if (code.startsWith("Z_") || code === "ERR_Z" || code.startsWith("ZSTD_")) {
    const kind = code.startsWith("ZSTD_") ? "zstd" : "gzip";
    return code === "Z_BUF_ERROR"
      ? fail("image.cut_short", `the image is cut short: ${message}, url: ${url}`)
      : fail("image.bad_stream", `no usable image: damaged ${kind} data (${message}), url: ${url}`);
  }
  if (error instanceof SourceFailure) {
    if (error.kind === "refused") return fail("image.source_refused", message);
    if (error.kind === "redirects") return fail("image.source_error", message);
    return fail("image.unreachable", `the image service went silent, url: ${url}`, message);
  }
  if (code.startsWith("HPE_")) {
    return fail("image.unreachable", `the image service's reply is no HTTP: ${message}, url: ${url}`);
  }
  if (code === "ECONNRESET") {
    return fail("image.cut_short", `the image is cut short: the connection broke, url: ${url}`, message);
  }
  const advice = UNTRUSTED.has(code) ? "; images.caFile can name who has signed it" : "";
  return fail("image.unreachable", `the image can't be fetched: ${message || code}${advice}, url: ${url}`);
}

/** RFC 9110, section 10.2.3: seconds, or a date. @returns seconds from now; undefined if it says neither. */
function retryAfterOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}

/** A service that is busy or broken may answer later; one that lacks the image, or refuses, won't. */
export function statusFailure({ statusCode, headers }: Reply, url: string): FailedOutcome {
  const message = `unexpected http response code: expected 200, received ${statusCode}, url: ${url}`;
  if (statusCode === 404 || statusCode === 410) return fail("image.source_not_found", message);
  const isTransient = statusCode >= 500 || statusCode === 408 || statusCode === 429;
  if (!isTransient) return fail("image.source_error", message);
  const { failure } = fail("image.http_status", message);
  const retryAfter = retryAfterOf(headers["retry-after"]);
  return { ok: false, failure: retryAfter === undefined ? failure : { ...failure, retryAfter } };
}

/** What a service that works may meet now and then. */
const TRANSIENT: ReadonlySet<string> = new Set([
  ...["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT"],
  ...["EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EAI_AGAIN"],
]);

/** `hasBegun`: bytes came from there before. A service that has never answered is not waited for again and again. */
export function isTransient(error: unknown, hasBegun: boolean): boolean {
  if (error instanceof FetchFailure) return error.outcome.failure.code === "image.http_status";
  if (error instanceof SourceFailure) return error.kind === "silent" && hasBegun;
  return TRANSIENT.has(codeOf(error));
}
