import { FAILURES, type Failure, type Outcome } from "../storage/failures.js";
import { encodeAbout, messageOf20 } from "./failure-text.js";
import { quote } from "./json-text.js";
import type { JsonText, ReplyText } from "./reply-text.js";

/** Writes a 1.0 reply. The value of `outcome` is the result as JSON text. */
export function encodeReply10(id: string, outcome: Outcome<JsonText>): ReplyText {
  return outcome.ok
    ? around('{"result":', outcome.value, `,"error":null,"id":${id}}\n`)
    : `{"result":null,"error":${quote(outcome.failure.message)},"id":${id}}\n`;
}

/** Writes a 2.0 reply, without a newline because it may be part of a batch. */
export function encodeReply20(id: string, outcome: Outcome<JsonText>): ReplyText {
  return outcome.ok
    ? around('{"jsonrpc":"2.0","result":', outcome.value, `,"id":${id}}`)
    : around20(id, encodeFailure(outcome.failure));
}

function around(before: string, text: JsonText, after: string): ReplyText {
  return typeof text === "string" ? before + text + after : [before, text, after];
}

/** The `error` of a 2.0 reply, which says the same where there is no such reply. */
export function encodeFailure(failure: Failure): string {
  const { code, detail, retryAfter, about } = failure;
  const { rpc, errno, retryable } = FAILURES[code];
  const shown = detail === undefined || code === "internal" ? "" : `,"detail":${quote(detail)}`;
  const later = retryAfter === undefined ? "" : `,"retryAfter":${retryAfter}`;
  const data = `{"reason":${quote(code)},"errno":${quote(errno)},"retryable":${retryable}${later}${encodeAbout(about)}${shown}}`;
  return encodeError(rpc, messageOf20(failure), data);
}

/** The errors of an envelope, with the codes and messages of the 2.0 specification. */
const RPC_ERRORS = {
  parse: { code: -32700, message: "Parse error", reason: "rpc.parse_error" },
  invalid: { code: -32600, message: "Invalid Request", reason: "rpc.invalid_request" },
  noMethod: { code: -32601, message: "Method not found", reason: "rpc.method_not_found" },
} as const;

export function encodeRpcError20(id: string, kind: keyof typeof RPC_ERRORS, detail: string): string {
  const { code, message, reason } = RPC_ERRORS[kind];
  const data = `{"reason":${quote(reason)},"retryable":false,"detail":${quote(detail)}}`;
  return around20(id, encodeError(code, message, data));
}

function encodeError(code: number, message: string, data: string): string {
  return `{"code":${code},"message":${quote(message)},"data":${data}}`;
}

function around20(id: string, error: string): string {
  return `{"jsonrpc":"2.0","error":${error},"id":${id}}`;
}
