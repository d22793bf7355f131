import { FAILURES, type Failure, type Outcome } from "../storage/failures.js";
import { compactToken, kindOf, type Member, membersOf, quote, type Span, stringValue } from "./json.js";

/** A JSON-RPC 1.0 request, its parts still as written. */
export interface Request10 {
  readonly method: string;
  readonly params: Span | undefined;
  /** The id's token, or undefined for a notification. */
  readonly id: string | undefined;
}

export type Read10 = { readonly request: Request10 } | { readonly problem: string };

/** A 2.0 request. `id` is the token to echo; undefined: a notification. */
export interface Request20 {
  readonly method: string;
  readonly params: Span | undefined;
  readonly id: string | undefined;
}

export type Read20 = { readonly request: Request20 } | { readonly invalid: string; readonly id: string };

/** @returns whether the object at `start` carries `"jsonrpc":"2.0"`. */
export function claimsVersion2(text: string, start: number): boolean {
  // A key may be written with escapes; most texts have neither those nor the word.
  if (!text.includes("jsonrpc") && !text.includes("\\")) return false;
  return membersOf(text, start).some(
    (member) => member.key === "jsonrpc" && isString(text, member) && stringValue(text, member) === "2.0",
  );
}

function isString(text: string, span: Span): boolean {
  return kindOf(text, span.start) === "string";
}

function isNull(text: string, span: Span): boolean {
  return kindOf(text, span.start) === "null";
}

/** `name` in lower case. */
function isCalled({ key }: Member, name: string): boolean {
  // Lower case is rarely asked for: nearly everybody writes keys as they are.
  return key === name || (key.length === name.length && key.toLowerCase() === name);
}

/** Reads the object at `start` as 1.0: keys in any case, the last duplicate wins (Go's rules). */
export function readRequest10(text: string, start: number): Read10 {
  let method = "";
  let params: Member | undefined;
  let id: Member | undefined;
  for (const member of membersOf(text, start)) {
    if (isCalled(member, "method")) {
      if (isString(text, member)) method = stringValue(text, member);
      else if (!isNull(text, member)) {
        return { problem: `rpc: method: expected string, got ${kindOf(text, member.start)}` };
      }
    } else if (isCalled(member, "params")) params = isNull(text, member) ? undefined : member;
    else if (isCalled(member, "id")) id = isNull(text, member) ? undefined : member;
  }
  return { request: { method, params, id: id && compactToken(text, id) } };
}

const NO_ID = "null";

/** Reads the value at `span` as a 2.0 request object, by the specification. */
export function readRequest20(text: string, span: Span): Read20 {
  if (kindOf(text, span.start) !== "object") return { invalid: "a request is an object", id: NO_ID };
  const found = new Map(membersOf(text, span.start).map((member) => [member.key, member]));
  const idMember = found.get("id");
  const idKind = idMember && kindOf(text, idMember.start);
  const idGood = idKind === undefined || idKind === "string" || idKind === "number" || idKind === "null";
  const id = idMember && idGood ? compactToken(text, idMember) : undefined;
  const invalid = (why: string): Read20 => ({ invalid: why, id: id ?? NO_ID });
  if (!idGood) return invalid(`id: expected string, number or null, got ${idKind}`);
  const version = found.get("jsonrpc");
  if (!version || !isString(text, version) || stringValue(text, version) !== "2.0") {
    return invalid('jsonrpc: expected "2.0"');
  }
  const method = found.get("method");
  if (!method || !isString(text, method)) return invalid("method: expected string");
  const params = found.get("params");
  const paramsKind = params && kindOf(text, params.start);
  if (paramsKind !== undefined && paramsKind !== "object" && paramsKind !== "array") {
    return invalid(`params: expected object or array, got ${paramsKind}`);
  }
  return { request: { method: stringValue(text, method), params, id } };
}

/** A 1.0 reply. `result` is JSON text. */
export function encodeReply10(id: string, outcome: Outcome<string>): string {
  return outcome.ok
    ? `{"result":${outcome.value},"error":null,"id":${id}}\n`
    : `{"result":null,"error":${quote(outcome.failure.message)},"id":${id}}\n`;
}

/** A 2.0 reply, without the newline: it may stand in a batch. */
export function encodeReply20(id: string, outcome: Outcome<string>): string {
  return outcome.ok
    ? `{"jsonrpc":"2.0","result":${outcome.value},"id":${id}}`
    : encodeError20(id, failureCode(outcome.failure), outcome.failure.message, outcome.failure);
}

function failureCode(failure: Failure): number {
  return FAILURES[failure.code].rpc;
}

/** The errors of the 2.0 specification that are about the call and not its outcome. */
export const RPC_ERRORS = {
  parse: { code: -32700, message: "Parse error", reason: "rpc.parse_error" },
  invalid: { code: -32600, message: "Invalid Request", reason: "rpc.invalid_request" },
  noMethod: { code: -32601, message: "Method not found", reason: "rpc.method_not_found" },
} as const;

export function encodeRpcError20(id: string, kind: keyof typeof RPC_ERRORS, detail: string): string {
  const { code, message, reason } = RPC_ERRORS[kind];
  const data = `{"reason":${quote(reason)},"retryable":false,"detail":${quote(detail)}}`;
  return `{"jsonrpc":"2.0","error":{"code":${code},"message":${quote(message)},"data":${data}},"id":${id}}`;
}

function encodeError20(id: string, code: number, message: string, failure: Failure): string {
  const { errno, retryable } = FAILURES[failure.code];
  const detail =
    failure.detail === undefined || failure.code === "internal" ? "" : `,"detail":${quote(failure.detail)}`;
  const data = `{"reason":${quote(failure.code)},"errno":${quote(errno)},"retryable":${retryable}${detail}}`;
  return `{"jsonrpc":"2.0","error":{"code":${code},"message":${quote(message)},"data":${data}},"id":${id}}`;
}
