import { isNull, type JsonValue, type Kind } from "./json.js";
import { compactToken } from "./json-text.js";

export type Version = "1.0" | "2.0";

/** A request. Its parameters are not read yet. */
export interface Request {
  readonly version: Version;
  readonly method: string;
  readonly params: JsonValue | undefined;
  /** The token of the id, for the reply. Undefined: a notification, which has none. */
  readonly id: string | undefined;
}

/** A value that is no request. */
export interface InvalidRequest {
  readonly version: Version;
  /** What is wrong with it. */
  readonly problem: string;
  /** The token of the id, for the reply. */
  readonly id: string;
}

/** The id of a reply if the id of its request can't be read. Source: JSON-RPC 2.0, section 5. */
export const NO_ID = "null";

/** The members of a request by the rules of both versions, collected in one pass. */
interface Members {
  /** For 2.0: members with exactly these names. The last duplicate counts. */
  jsonrpc: JsonValue | undefined;
  method: JsonValue | undefined;
  params: JsonValue | undefined;
  id: JsonValue | undefined;
  /** For 1.0, by the rules of Go's encoding/json: names in any case, and a method of null is ignored. */
  goMethod: string;
  goParams: JsonValue | undefined;
  goId: JsonValue | undefined;
  /** The kind of the first method that is neither string nor null; undefined if there is none. */
  wrongMethod: Kind | undefined;
  /** Whether any of the members `jsonrpc` is "2.0". */
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
    if (key === "jsonrpc") {
      members.jsonrpc = value;
      members.claimsVersion2 ||= isVersion2(value);
      continue;
    }
    if (key === "method") members.method = value;
    else if (key === "params") members.params = value;
    else if (key === "id") members.id = value;
    addGoMember(members, key.toLowerCase(), value);
  }
  return members;
}

/** Collects a member for 1.0; `key` is in lower case. */
function addGoMember(members: Members, key: string, value: JsonValue): void {
  if (key === "params") members.goParams = isNull(value) ? undefined : value;
  else if (key === "id") members.goId = isNull(value) ? undefined : value;
  else if (key !== "method" || isNull(value)) return;
  else if (value.kind === "string") members.goMethod = value.string;
  else members.wrongMethod ??= value.kind;
}

/**
 * Reads a request as 2.0 if it has `"jsonrpc":"2.0"`, else as `defaultVersion`. With a default of
 * 2.0, a request that is clearly 1.0 is still read as 1.0: it has a method and no `jsonrpc`.
 */
export function readRequest(value: JsonValue, defaultVersion: Version): Request | InvalidRequest {
  if (value.kind !== "object") return notAnObject(value, defaultVersion);
  const members = membersOf(value);
  const { jsonrpc, goMethod, wrongMethod, claimsVersion2 } = members;
  const isClearly1 = wrongMethod === undefined && goMethod !== "" && jsonrpc === undefined;
  if (claimsVersion2 || (defaultVersion === "2.0" && !isClearly1)) return read20(members);
  return read10(members);
}

/** Reads an element of a batch. Only 2.0 has batches. */
export function readBatchElement(value: JsonValue): Request | InvalidRequest {
  return value.kind === "object" ? read20(membersOf(value)) : notAnObject(value, "2.0");
}

function notAnObject({ kind }: JsonValue, version: Version): InvalidRequest {
  const problem = version === "2.0" ? "a request is an object" : `rpc: expected an object, got ${kind}`;
  return { version, problem, id: NO_ID };
}

/** Whether any element of a batch has `"jsonrpc":"2.0"`. */
export function hasVersion2({ items }: JsonValue): boolean {
  return items.some((item) => item.kind === "object" && membersOf(item).claimsVersion2);
}

/** Reads as the original does. */
function read10({ goMethod, goParams, goId, wrongMethod }: Members): Request | InvalidRequest {
  if (wrongMethod !== undefined) {
    return { version: "1.0", problem: `rpc: method: expected string, got ${wrongMethod}`, id: NO_ID };
  }
  return { version: "1.0", method: goMethod, params: goParams, id: goId && compactToken(goId) };
}

const ID_KINDS: ReadonlySet<Kind> = new Set(["string", "number", "null"]);

/** Reads by the specification of 2.0. */
function read20({ jsonrpc, method, params, id }: Members): Request | InvalidRequest {
  const isGoodId = id === undefined || ID_KINDS.has(id.kind);
  const token = id && isGoodId ? compactToken(id) : undefined;
  const invalid = (problem: string): InvalidRequest => ({ version: "2.0", problem, id: token ?? NO_ID });
  if (!isGoodId) return invalid(`id: expected string, number or null, got ${id.kind}`);
  if (!jsonrpc || !isVersion2(jsonrpc)) return invalid('jsonrpc: expected "2.0"');
  if (method?.kind !== "string") return invalid("method: expected string");
  if (params && params.kind !== "object" && params.kind !== "array") {
    return invalid(`params: expected object or array, got ${params.kind}`);
  }
  return { version: "2.0", method: method.string, params, id: token };
}
