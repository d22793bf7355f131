import type { Reason } from "./api-records.js";

/** The error of a reply of JSON-RPC 2.0, as docs/api.md has it. */
export interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data: {
    readonly reason: Reason;
    readonly errno?: string;
    readonly retryable: boolean;
    readonly retryAfter?: number;
    readonly object?: string;
    readonly field?: string;
    readonly found?: string;
    readonly wanted?: string;
    readonly detail?: string;
  };
}

/** The daemon has answered that a call failed. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly method: string;
  /** The number of JSON-RPC. */
  readonly code: number;
  /** The word to branch on. */
  readonly reason: Reason;
  /** The closest name of errno(3), if there is one. */
  readonly errno: string | undefined;
  /** Whether the same call may succeed later, although nobody changes anything. */
  readonly retryable: boolean;
  /** When to try again, in seconds, if the daemon has said so. */
  readonly retryAfter: number | undefined;
  /** What it is about, for people: the dataset, the member of the request, and what was found and wanted. */
  readonly about: Readonly<Partial<Record<"object" | "field" | "found" | "wanted" | "detail", string>>>;

  constructor(method: string, { code, message, data }: WireError, retryAfter = data.retryAfter) {
    super(message);
    this.method = method;
    this.code = code;
    const { reason, errno, retryable, object, field, found, wanted, detail } = data;
    this.reason = reason;
    this.errno = errno;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
    this.about = Object.fromEntries(
      Object.entries({ object, field, found, wanted, detail }).filter(([, text]) => text !== undefined),
    );
  }
}

/** There was no answer of JSON-RPC: nobody listens, the connection ended, or the status is not 200. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";
  /** The status; undefined if there was no reply at all. Then a change may have happened. */
  readonly status: number | undefined;
  /** When to try again, in seconds, if the reply has said so. */
  readonly retryAfter: number | undefined;

  constructor(message: string, about: { status?: number; retryAfter?: number | undefined; cause?: unknown }) {
    super(message, "cause" in about ? { cause: about.cause } : undefined);
    this.status = about.status;
    this.retryAfter = about.retryAfter;
  }
}

/** A download has ended, and not with the whole snapshot: what was read of it is worthless. */
export class DownloadError extends Error {
  override readonly name = "DownloadError";
  /** Why, if the daemon knows. */
  readonly reason: Reason | undefined;

  constructor(message: string, reason: Reason | undefined, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }
}
