import { readJson, tokenOf } from "../../../protocol/json-rpc/json.js";
import { CallFailure, EXIT, statusOfHttp, statusOfRefusal } from "./call-failure.js";
import { type DaemonAddress, nameOf } from "./daemon-address.js";
import { requestDaemon, textOfReply } from "./daemon-request.js";

/** The error of a reply of JSON-RPC 2.0, as docs/api.md has it. */
export interface ReplyError {
  readonly message: string;
  readonly data?: {
    readonly reason?: string;
    readonly errno?: string;
    readonly retryable?: boolean;
    readonly detail?: string;
    readonly retryAfter?: number;
  };
}

/** What a command says of an error, and how it ends. */
export function failureOf({ message, data = {} }: ReplyError): CallFailure {
  const later = data.retryAfter === undefined ? "" : `, try again in ${data.retryAfter} s`;
  const detail = data.detail === undefined ? "" : ` (${data.detail})`;
  const status = data.retryable ? EXIT.tryAgain : statusOfRefusal(data.reason, data.errno);
  return new CallFailure(`${message}${detail}${later}`, status);
}

/** Posts a body. Rejects with a CallFailure if there is no reply. No time limit: an image may take hours. */
async function post(
  address: DaemonAddress,
  body: string,
  signal: AbortSignal | undefined,
): Promise<{ status: number; text: string }> {
  const headers = { "content-type": "application/json" };
  const reply = await requestDaemon(address, new URL("/rpc", address.base), {
    ...{ method: "POST", headers, body },
    ...(signal && { signal }),
  });
  const text = await textOfReply(address, reply);
  return { status: reply.statusCode ?? 0, text };
}

/** A result, and its JSON text: a size may have more digits than a number of JavaScript keeps. */
export interface CallResult {
  readonly value: unknown;
  readonly text: string;
}

/**
 * Calls a method of the daemon at `address` by JSON-RPC 2.0. Rejects with a CallFailure: nobody answers, the
 * request is refused, or the operation failed. After `signal` nobody answers.
 */
export async function callDaemon(
  address: DaemonAddress,
  method: string,
  params: object,
  signal?: AbortSignal,
): Promise<CallResult> {
  const body = JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
  const { status, text } = await post(address, body, signal);
  if (status !== 200) {
    const line = `HTTP status ${status} from ${nameOf(address)}: ${text.trim().split("\n")[0]}`;
    throw new CallFailure(line, statusOfHttp(status));
  }
  const read = readJson(text);
  if ("problem" in read)
    throw new CallFailure(`no JSON from ${nameOf(address)}: ${read.problem}`, EXIT.other);
  const reply: { readonly result?: unknown; readonly error?: ReplyError } = JSON.parse(text);
  if (reply.error) throw failureOf(reply.error);
  const result = read.value.items[read.value.keys.indexOf("result")];
  return { value: reply.result, text: result ? tokenOf(result) : "null" };
}
