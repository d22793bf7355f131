/** How a call or a download ended, for the log and the metrics. */
export interface CallReport {
  /** "" where no method was found; "download". */
  readonly method: string;
  /** "" where the request named none that could be served. */
  readonly pool: string;
  /** "ok", or the failure's code. */
  readonly code: string;
  readonly ms: number;
  readonly detail?: string | undefined;
}
