import { NoAnswerError } from "./client-errors.js";
import type { ConnectOptions } from "./options.js";

/** Sends a request to the daemon. Rejects with NoAnswerError, or with the reason of the signal. */
export type DaemonFetch = (path: string, init: RequestInit) => Promise<Response>;

/** The seconds of a reply's Retry-After, if it has some. */
export function retryAfterOf({ headers }: Response): number | undefined {
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds : undefined;
}

/** The error of a reply that is not what was asked for. Reads its body. */
export async function refusalOf(response: Response): Promise<NoAnswerError> {
  const text = await response.text().catch(() => "");
  const line = text.trim().split("\n")[0] ?? "";
  const { status } = response;
  return new NoAnswerError(`HTTP status ${status}${line === "" ? "" : `: ${line}`}`, {
    status,
    retryAfter: retryAfterOf(response),
  });
}

export function createDaemonFetch({ url, token, fetch = globalThis.fetch }: ConnectOptions): DaemonFetch {
  const base = new URL(url);
  const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return async (path, init) => {
    try {
      return await fetch(new URL(path, base), {
        ...init,
        headers: { ...Object(init.headers), ...authorization },
      });
    } catch (error) {
      init.signal?.throwIfAborted();
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new NoAnswerError(`no answer from ${base.origin}: ${why}`, { cause: error });
    }
  };
}
