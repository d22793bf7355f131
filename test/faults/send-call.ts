import { request } from "node:http";

/**
 * What a client knows of a call. `done`: it was acknowledged. `refused`: it was answered that
 * nothing was changed. `unknown`: no answer came, or one that says that nobody knows.
 */
export type Answer =
  | { readonly kind: "done"; readonly result: Readonly<Record<string, unknown>> }
  | { readonly kind: "refused"; readonly reason: string; readonly message: string }
  | { readonly kind: "unknown"; readonly reason: string };

/** Reasons of failures after which the change may have happened all the same. */
const UNCLEAR: ReadonlySet<string> = new Set([
  "service.interrupted",
  "command.timed_out",
  "command.failed",
  "internal",
]);

/** Nothing of the daemon listens: the call was not sent. */
export const NOT_SENT = "not sent";
/** Begins the reason when the answer has another status than that of JSON-RPC. */
export const NO_ANSWER = "HTTP status";
/** No answer within the limit. */
export const LATE = "late";

interface Body {
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string; readonly data?: { readonly reason?: string } };
}

function answerOf(text: string, status: number): Answer {
  if (status !== 200) return { kind: "unknown", reason: `${NO_ANSWER} ${status} ${text}` };
  const { result, error } = JSON.parse(text) as Body;
  if (error === undefined) return { kind: "done", result: result ?? {} };
  const reason = error.data?.reason ?? "internal";
  if (UNCLEAR.has(reason)) return { kind: "unknown", reason };
  return { kind: "refused", reason, message: error.message };
}

/** Calls a method by JSON-RPC 2.0 on a connection of its own. Never rejects. */
export function sendCall(url: string, method: string, params: object, limitMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const unknown = (reason: string) => resolve({ kind: "unknown", reason });
    const sent = request(
      `${url}/rpc`,
      { method: "POST", agent: false, headers: { "content-type": "application/json" } },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", () => unknown("cut"));
        response.on("close", () => {
          clearTimeout(limit);
          if (response.complete) resolve(answerOf(text, response.statusCode ?? 0));
          else unknown("cut");
        });
      },
    );
    const limit = setTimeout(() => {
      unknown(LATE);
      sent.destroy();
    }, limitMs);
    sent.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(limit);
      unknown(error.code === "ECONNREFUSED" ? NOT_SENT : "cut");
    });
    sent.end(JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }));
  });
}

/** How a download ended. `whole`: its status was 200, and it ended as HTTP says. */
export interface Download {
  readonly kind: "whole" | "refused" | "cut";
  readonly bytes: number;
  readonly status: number;
}

/** Downloads a snapshot, or cuts the connection after `cutAfterBytes`. Never rejects. */
export function download(
  url: string,
  id: string,
  limitMs: number,
  cutAfterBytes = Number.POSITIVE_INFINITY,
): Promise<Download> {
  return new Promise((resolve) => {
    let bytes = 0;
    let status = 0;
    const end = (kind: Download["kind"]) => {
      clearTimeout(limit);
      resolve({ kind, bytes, status });
    };
    const sent = request(
      `${url}/snapshots/download?id=${encodeURIComponent(id)}`,
      { agent: false },
      (response) => {
        status = response.statusCode ?? 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes >= cutAfterBytes) sent.destroy();
        });
        response.on("error", () => {});
        response.on("close", () => end(!response.complete ? "cut" : status === 200 ? "whole" : "refused"));
      },
    );
    const limit = setTimeout(() => sent.destroy(), limitMs);
    sent.on("error", () => end("cut"));
    sent.end();
  });
}
