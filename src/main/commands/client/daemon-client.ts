import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { readJson, tokenOf } from "../../../protocol/json-rpc/json.js";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";
import { CallFailure, EXIT, statusOfErrno, statusOfHttp } from "./call-failure.js";
import type { DaemonAddress } from "./daemon-address.js";

/** The error of a reply of JSON-RPC 2.0, as docs/api.md has it. */
interface ReplyError {
  readonly message: string;
  readonly data?: {
    readonly errno?: string;
    readonly retryable?: boolean;
    readonly detail?: string;
    readonly retryAfter?: number;
  };
}

function failureOf({ message, data = {} }: ReplyError): CallFailure {
  const later = data.retryAfter === undefined ? "" : `, try again in ${data.retryAfter} s`;
  const detail = data.detail === undefined ? "" : ` (${data.detail})`;
  const status = data.retryable ? EXIT.tryAgain : statusOfErrno(data.errno);
  return new CallFailure(`${message}${detail}${later}`, status);
}

/** Posts a body. Rejects with a CallFailure if there is no reply. No time limit: an image may take hours. */
function post(
  url: URL,
  headers: DaemonAddress["headers"],
  body: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      const why = codeOf(error) === "ECONNREFUSED" ? "nothing listens there" : messageOf(error);
      reject(new CallFailure(`no answer from ${url.origin}: ${why}`, EXIT.unreachable));
    };
    const request = url.protocol === "https:" ? requestHttps : requestHttp;
    const sent = request(
      url,
      { method: "POST", headers: { ...headers, "content-type": "application/json" } },
      (reply) => {
        const parts: Buffer[] = [];
        reply.on("data", (part: Buffer) => parts.push(part));
        reply.on("error", fail);
        reply.on("end", () =>
          resolve({ status: reply.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") }),
        );
      },
    );
    sent.on("error", fail);
    sent.end(body);
  });
}

/** A result, and its JSON text: a size may have more digits than a number of JavaScript keeps. */
export interface CallResult {
  readonly value: unknown;
  readonly text: string;
}

/**
 * Calls a method of the daemon at `address` by JSON-RPC 2.0. Rejects with a CallFailure: nobody answers, the
 * request is refused, or the operation failed.
 */
export async function callDaemon(
  { base, headers }: DaemonAddress,
  method: string,
  params: object,
): Promise<CallResult> {
  const body = JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
  const { status, text } = await post(new URL("/rpc", base), headers, body);
  if (status !== 200) {
    const line = `HTTP status ${status} from ${base.origin}: ${text.trim().split("\n")[0]}`;
    throw new CallFailure(line, statusOfHttp(status));
  }
  const read = readJson(text);
  if ("problem" in read) throw new CallFailure(`no JSON from ${base.origin}: ${read.problem}`, EXIT.other);
  const reply: { readonly result?: unknown; readonly error?: ReplyError } = JSON.parse(text);
  if (reply.error) throw failureOf(reply.error);
  const result = read.value.items[read.value.keys.indexOf("result")];
  return { value: reply.result, text: result ? tokenOf(result) : "null" };
}
