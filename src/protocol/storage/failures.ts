/**
 * All failures that a client can act on. No other codes exist.
 * `rpc`: the code in JSON-RPC 2.0; our own are positive, outside of the reserved range.
 * `http`: the status of a failed download.
 * `errno`: the closest name from errno(3).
 * `retryable`: the same request may succeed later, although no client changes anything.
 */
export const FAILURES = {
  "request.malformed": { rpc: -32602, http: 400, errno: "EINVAL", retryable: false },
  "request.missing_field": { rpc: -32602, http: 400, errno: "EINVAL", retryable: false },
  "request.invalid": { rpc: -32602, http: 400, errno: "EINVAL", retryable: false },
  "name.invalid": { rpc: -32602, http: 400, errno: "EINVAL", retryable: false },
  "dataset.not_found": { rpc: 1001, http: 404, errno: "ENOENT", retryable: false },
  "dataset.exists": { rpc: 1002, http: 409, errno: "EEXIST", retryable: false },
  "dataset.wrong_type": { rpc: 1003, http: 400, errno: "EINVAL", retryable: false },
  "dataset.busy": { rpc: 1004, http: 409, errno: "EBUSY", retryable: true },
  "dataset.has_clones": { rpc: 1005, http: 409, errno: "EBUSY", retryable: false },
  "dataset.protected": { rpc: 1006, http: 403, errno: "EPERM", retryable: false },
  "snapshot.newer_exist": { rpc: 1007, http: 409, errno: "EEXIST", retryable: false },
  "snapshot.held": { rpc: 1008, http: 409, errno: "EBUSY", retryable: true },
  "dataset.key_not_loaded": { rpc: 1009, http: 409, errno: "ENOKEY", retryable: false },
  "dataset.read_only": { rpc: 1010, http: 409, errno: "EROFS", retryable: false },
  "dataset.would_shrink": { rpc: 1011, http: 409, errno: "EINVAL", retryable: false },
  "pool.not_found": { rpc: 1020, http: 404, errno: "ENOENT", retryable: false },
  "pool.no_space": { rpc: 1021, http: 507, errno: "ENOSPC", retryable: false },
  "pool.unavailable": { rpc: 1022, http: 503, errno: "EIO", retryable: true },
  "pool.read_only": { rpc: 1023, http: 503, errno: "EROFS", retryable: false },
  "image.not_found": { rpc: 1030, http: 404, errno: "ENOENT", retryable: false },
  "image.http_status": { rpc: 1031, http: 502, errno: "EPROTO", retryable: true },
  "image.source_not_found": { rpc: 1037, http: 502, errno: "ENOENT", retryable: false },
  "image.source_error": { rpc: 1038, http: 502, errno: "EPROTO", retryable: false },
  "image.unreachable": { rpc: 1032, http: 502, errno: "EHOSTUNREACH", retryable: true },
  "image.cut_short": { rpc: 1033, http: 502, errno: "EPIPE", retryable: true },
  "image.bad_stream": { rpc: 1034, http: 502, errno: "EBADMSG", retryable: false },
  "image.source_refused": { rpc: 1035, http: 403, errno: "EACCES", retryable: false },
  "image.digest_mismatch": { rpc: 1036, http: 502, errno: "EBADMSG", retryable: true },
  "image.source_changed": { rpc: 1039, http: 502, errno: "ESTALE", retryable: true },
  "backup.not_found": { rpc: 1110, http: 404, errno: "ENOENT", retryable: false },
  "backup.damaged": { rpc: 1111, http: 502, errno: "EBADMSG", retryable: false },
  "backup.store_unreachable": { rpc: 1112, http: 502, errno: "EHOSTUNREACH", retryable: true },
  "backup.store_refused": { rpc: 1113, http: 502, errno: "EACCES", retryable: false },
  "job.not_found": { rpc: 1080, http: 404, errno: "ENOENT", retryable: false },
  "job.cancelled": { rpc: 1081, http: 409, errno: "ECANCELED", retryable: false },
  "job.not_cancellable": { rpc: 1082, http: 409, errno: "EBUSY", retryable: false },
  "peer.unknown": { rpc: 1090, http: 404, errno: "ENOENT", retryable: false },
  "peer.unreachable": { rpc: 1091, http: 502, errno: "EHOSTUNREACH", retryable: true },
  "peer.refused": { rpc: 1092, http: 502, errno: "EPROTO", retryable: false },
  "stream.cut_short": { rpc: 1093, http: 400, errno: "EPIPE", retryable: true },
  "stream.invalid": { rpc: 1094, http: 400, errno: "EBADMSG", retryable: false },
  "dataset.diverged": { rpc: 1012, http: 409, errno: "EEXIST", retryable: false },
  "dataset.fenced": { rpc: 1013, http: 409, errno: "EBUSY", retryable: false },
  "service.overloaded": { rpc: 1040, http: 503, errno: "EAGAIN", retryable: true },
  "service.interrupted": { rpc: 1041, http: 503, errno: "EINTR", retryable: true },
  "service.stopping": { rpc: 1042, http: 503, errno: "ESHUTDOWN", retryable: true },
  "service.reply_too_large": { rpc: 1043, http: 413, errno: "EMSGSIZE", retryable: false },
  "command.not_permitted": { rpc: 1050, http: 500, errno: "EPERM", retryable: false },
  "command.missing": { rpc: 1051, http: 500, errno: "ENOENT", retryable: false },
  "command.timed_out": { rpc: 1052, http: 504, errno: "ETIMEDOUT", retryable: true },
  "command.failed": { rpc: 1053, http: 500, errno: "EIO", retryable: false },
  "records.unavailable": { rpc: 1060, http: 500, errno: "EIO", retryable: false },
  "access.denied": { rpc: 1070, http: 403, errno: "EACCES", retryable: false },
  internal: { rpc: -32603, http: 500, errno: "EIO", retryable: false },
} as const satisfies Record<string, { rpc: number; http: number; errno: string; retryable: boolean }>;

export type FailureCode = keyof typeof FAILURES;

/** What a failure is about, for 2.0 clients: each part is text for people. */
export interface FailureAbout {
  /** The dataset, snapshot, image or guest. */
  readonly object?: string | undefined;
  /** The member of the request, or the property of the object, that is not as it should be. */
  readonly field?: string | undefined;
  readonly found?: string | undefined;
  readonly wanted?: string | undefined;
}

/** Why an operation failed. Plain data, so that threads can send it. */
export interface Failure {
  readonly code: FailureCode;
  /** The `error` of a 1.0 reply. Where docs/api.md gives the words, clients compare them. */
  readonly message: string;
  /** More about it: for 2.0 clients and the log. Without paths of this machine and command lines. */
  readonly detail?: string;
  /** For the log alone, as no client may see it: command lines, paths, stacks. */
  readonly cause?: string;
  readonly about?: FailureAbout;
  /** When to try again, in seconds from now, if somebody said so. */
  readonly retryAfter?: number;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

export type FailedOutcome = Extract<Outcome<never>, { ok: false }>;

export function succeed<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function fail(code: FailureCode, message: string, detail?: string): FailedOutcome {
  return {
    ok: false,
    failure: detail === undefined ? { code, message } : { code, message, detail },
  };
}

/** The same failure, which says more of what it is about. */
export function tellAbout({ failure }: FailedOutcome, about: FailureAbout): FailedOutcome {
  return { ok: false, failure: { ...failure, about: { ...failure.about, ...about } } };
}

function missing(message: string, field: string, wanted: string): FailedOutcome {
  return tellAbout(fail("request.missing_field", message), { field, wanted });
}

/** Failures with fixed messages, which clients may compare. */
export const failed = {
  needId: missing("need an id", "id", "the name of a dataset or snapshot"),
  needJobId: missing("need an id", "id", "the id of a job"),
  needImageId: missing("need id", "id", "the id of an image"),
  needDest: missing("need dest", "dest", "the name of the new volume"),
  needSnapshotDest: missing("need a dest", "dest", "the name of the snapshot behind its @"),
  needSize: missing("need a valid size", "size", "1 MiB or more"),
  invalidSnapshotDest: fail("name.invalid", "invalid snapshot dest"),
  invalidArgument: fail("request.invalid", "invalid argument"),
  snapshotOfSnapshot: fail("dataset.wrong_type", "cannot create a snapshot of a snapshot"),
  notFound: fail("dataset.not_found", "not found"),
  jobNotFound: fail("job.not_found", "not found"),
  imageNotFound: fail("image.not_found", "not found"),
  exists: fail("dataset.exists", "dataset already exists"),
  notVolume: fail("dataset.wrong_type", "not a volume"),
  notSnapshot: fail("dataset.wrong_type", "not a snapshot"),
  noSpace: fail("pool.no_space", "no space left on device"),
  overloaded: fail("service.overloaded", "resource temporarily unavailable"),
  interrupted: fail(
    "service.interrupted",
    "the pool's actor stopped before it answered; the outcome is unknown, ask again",
  ),
  cancelled: fail("job.cancelled", "cancelled by a client"),
  stopping: fail("service.stopping", "imagestore is stopping"),
} as const;

/**
 * The failure of what would exceed a limit. Clients of 1.0 compare its words; 2.0 adds the limit,
 * `field`, and its value.
 */
export function limitReached(field: string, wanted: string): FailedOutcome {
  return tellAbout(failed.overloaded, { field, wanted });
}

/** `failed`, with what only the log may have. */
export function withCause({ failure }: FailedOutcome, cause: string): FailedOutcome {
  return { ok: false, failure: { ...failure, cause } };
}

/** The failure of an unexpected exception, which is a bug. Its stack is the cause. */
export function internalFailure(error: unknown): FailedOutcome {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return withCause(fail("internal", "internal error"), text);
}
