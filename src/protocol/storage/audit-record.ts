/** A line of the audit file: a change, or a call that was not allowed. Its members are those of its JSON. */
export interface AuditRecord {
  /** When the call ended, RFC 3339. */
  readonly time: string;
  /** The id of its token, or the subject of its certificate; undefined where none was asked for. */
  readonly caller?: string | undefined;
  /** The client's address. */
  readonly peer: string;
  readonly method: string;
  /** "" where the call named none that could be served. */
  readonly pool: string;
  readonly datasets: readonly string[];
  /** "ok", or the failure's code. */
  readonly code: string;
  /** Of a failure: what the client was told. */
  readonly message?: string | undefined;
  readonly requestId: string;
}

/** Which lines are asked for. Empty texts stand for any. */
export interface AuditFilter {
  /** Milliseconds since 1970: from this moment on, and before that one. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly caller: string;
  readonly method: string;
  /** "ok", "failed" for all others, or a code. */
  readonly outcome: string;
  /** This name or one below it, with its pool or without. */
  readonly dataset: string;
  readonly pool: string;
}

/** Some lines of the audit file, newest first. */
export interface AuditPage {
  readonly lines: readonly AuditRecord[];
  /** Lines on the way to them that are none of the daemon's, or parts of one. */
  readonly skipped: number;
  /** Where the next page begins. Null: there is none. */
  readonly next: string | null;
}
