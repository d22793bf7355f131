import type { Headers } from "./transport.js";

export const PLAIN_TEXT: Headers = [["Content-Type", "text/plain; charset=utf-8"]];
export const JSON_TEXT: Headers = [["Content-Type", "application/json; charset=utf-8"]];
/** Asks the client to retry after a second. */
export const RETRY_AFTER: Headers = [["Retry-After", "1"]];

/** Headers of a plain-text 405. */
export function allowing(verbs: string): Headers {
  return [...PLAIN_TEXT, ["Allow", verbs]];
}
