import { isNull, type JsonValue, type Kind } from "./json.js";
import { compactToken } from "./json-text.js";

export type Version = "1.0" | "2.0";

/** A request, its parameters still as the client wrote them. */
export interface Request {
  readonly version: Version;
  readonly method: string;
  readonly params: JsonValue | undefined;
  /** The token to put into the reply; undefined: a notification. */
  readonly id: string | undefined;
}

/** Why a value is no request. */
export interface NoRequest {
  readonly version: Version;
  readonly problem: string;
  /** The token to put into the reply. */
  readonly id: string;
}

/** The id of a reply to a request whose own id can't be read. Source: JSON-RPC 2.0, section 5. */
export const NO_ID = "null";

/** A request's members, as both versions read them. */
interface Members {
  /** Members of exactly these names; of duplicates the last one. For 2.0. */
  jsonrpc: JsonValue | undefined;
  method: JsonValue | undefined;
  params: JsonValue | undefined;
  id: JsonValue | undefined;
  /** The same by Go's rules: names in any case, null leaves a method as it was. For 1.0. */
  goMethod: string;
  goParams: JsonValue | undefined;
  goId: JsonValue | undefined;
  /** The kind of the first method that is neither a string nor null. */
  wrongMethod: Kind | undefined;
  /** Some member says `"jsonrpc":"2.0"`. */
  claimsVersion2: boolean;
}

function isVersion2(value: JsonValue): boolean {
  return value.kind === "string" && value.string === "2.0";
}

function membersOf({ keys, items }: JsonValue): Members {
  const members: Members = {
    jsonrpc: undefined,
    method: undefined,
    params: undefined,
    id: undefined,
    goMethod: "",
    goParams: undefined,
    goId: undefined,
    wrongMethod: undefined,
    claimsVersion2: false,
  };
  for (let index = 0; index < items.length; index++) {
    const key = keys[index];
    const value = items[index];
    if (key === undefined || value === undefined) continue;
    if (key === "method" || key === "params" || key === "id") {
      members[key] = value;
      noteByGo(members, key, value);
    } else if (key === "jsonrpc") {
      members.jsonrpc = value;
      members.claimsVersion2 ||= isVersion2(value);
    } else noteByGo(members, key.toLowerCase(), value);
  }
  return members;
}

function noteByGo(members: Members, key: string, value: JsonValue): void {
  if (key === "params") members.goParams = isNull(value) ? undefined : value;
  else if (key === "id") members.goId = isNull(value) ? undefined : value;
  else if (key !== "method" || isNull(value)) return;
  else if (value.kind === "string") members.goMethod = value.string;
  else members.wrongMethod ??= value.kind;
}

/**
 * Reads a request. One that says `"jsonrpc":"2.0"` is 2.0; for the others `otherwise` decides.
 * Where that is 2.0, a request that is plainly 1.0 is served as such all the same: an object
 * with a method and without a member `jsonrpc`.
 */
export function readRequest(value: JsonValue, otherwise: Version): Request | NoRequest {
  if (value.kind !== "object") return notAnObject(value, otherwise);
  const members = membersOf(value);
  const { jsonrpc, goMethod, wrongMethod, claimsVersion2 } = members;
  const isPlainly1 = wrongMethod === undefined && goMethod !== "" && jsonrpc === undefined;
  if (claimsVersion2 || (otherwise === "2.0" && !isPlainly1)) return read20(members);
  return read10(members);
}

/** Reads an element of a batch, which only 2.0 has. */
export function readBatchElement(value: JsonValue): Request | NoRequest {
  return value.kind === "object" ? read20(membersOf(value)) : notAnObject(value, "2.0");
}

function notAnObject({ kind }: JsonValue, version: Version): NoRequest {
  const problem = version === "2.0" ? "a request is an object" : `rpc: expected an object, got ${kind}`;
  return { version, problem, id: NO_ID };
}

/** Whether an element of a batch says `"jsonrpc":"2.0"`. */
export function hasVersion2({ items }: JsonValue): boolean {
  return items.some((item) => item.kind === "object" && membersOf(item).claimsVersion2);
}

function read10({ goMethod, goParams, goId, wrongMethod }: Members): Request | NoRequest {
  if (wrongMethod !== undefined) {
    return { version: "1.0", problem: `rpc: method: expected string, got ${wrongMethod}`, id: NO_ID };
  }
  return { version: "1.0", method: goMethod, params: goParams, id: goId && compactToken(goId) };
}

const ID_KINDS: ReadonlySet<Kind> = new Set(["string", "number", "null"]);

/** By the specification. */
function read20({ jsonrpc, method, params, id }: Members): Request | NoRequest {
  const isGoodId = id === undefined || ID_KINDS.has(id.kind);
  const token = id && isGoodId ? compactToken(id) : undefined;
  const invalid = (problem: string): NoRequest => ({ version: "2.0", problem, id: token ?? NO_ID });
  if (!isGoodId) return invalid(`id: expected string, number or null, got ${id.kind}`);
  if (!jsonrpc || !isVersion2(jsonrpc)) return invalid('jsonrpc: expected "2.0"');
  if (method?.kind !== "string") return invalid("method: expected string");
  if (params && params.kind !== "object" && params.kind !== "array") {
    return invalid(`params: expected object or array, got ${params.kind}`);
  }
  return { version: "2.0", method: method.string, params, id: token };
}
