import { gunzipSync, inflateSync } from "node:zlib";
import type { Awaited } from "./bodies.js";

/** A reply as it came. */
export interface WireReply {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Takes replies from the bytes of a connection. */
export interface ReplyReader {
  add(chunk: Buffer): void;
  /** The next whole reply; undefined while there is none. `toHead`: it has no body. Throws if it is malformed. */
  next(toHead: boolean): WireReply | undefined;
  /** Bytes that belong to no reply yet. */
  readonly rest: number;
}

export function createReplyReader(): ReplyReader {
  let bytes: Buffer = Buffer.alloc(0);
  const next = (toHead: boolean): WireReply | undefined => {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
    if (!status) throw new Error(`no status line: ${JSON.stringify(first.slice(0, 100))}`);
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        if (colon < 1) throw new Error(`no header: ${JSON.stringify(line.slice(0, 100))}`);
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const start = end + 4;
    const hasBody = !toHead && status >= 200 && status !== 204 && status !== 304;
    const read = hasBody ? readBody(bytes, start, headers) : { body: Buffer.alloc(0), end: start };
    if (!read) return undefined;
    bytes = bytes.subarray(read.end);
    // An interim reply says nothing.
    return status < 200 ? next(toHead) : { status, headers, body: read.body };
  };
  return {
    add: (chunk) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    },
    next,
    get rest() {
      return bytes.length;
    },
  };
}

type Headers = WireReply["headers"];

function readBody(bytes: Buffer, start: number, headers: Headers): { body: Buffer; end: number } | undefined {
  if (headers.get("transfer-encoding") === "chunked") return readChunks(bytes, start);
  const stated = headers.get("content-length");
  // node:http refuses what it can't read with such a reply: its body ends with the connection.
  if (stated === undefined && headers.get("connection") === "close") {
    return { body: bytes.subarray(start), end: bytes.length };
  }
  const length = Number(stated);
  if (!Number.isSafeInteger(length)) throw new Error("neither a length nor chunks");
  return bytes.length < start + length
    ? undefined
    : { body: bytes.subarray(start, start + length), end: start + length };
}

function readChunks(bytes: Buffer, start: number): { body: Buffer; end: number } | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = bytes.toString("latin1", at, lineEnd);
    if (!/^[0-9a-f]+$/i.test(size))
      throw new Error(`no size of a chunk: ${JSON.stringify(size.slice(0, 40))}`);
    const length = Number.parseInt(size, 16);
    const end = lineEnd + 2 + length + 2;
    if (bytes.length < end) return undefined;
    if (length === 0) return { body: Buffer.concat(chunks), end };
    chunks.push(bytes.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}

const STATUSES = new Set([
  200, 204, 400, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 431, 500, 501, 503, 505, 507,
]);

/** @returns what is wrong with a reply, whatever it replies to. */
export function problemOf({ status, headers, body }: WireReply): string | undefined {
  if (!STATUSES.has(status)) return `status ${status}`;
  // Of all failures only a download may be the pool's fault; calls answer theirs as 200.
  if (status === 500) return `status 500: ${body.toString("utf8").slice(0, 200)}`;
  if (!headers.get("content-type")?.startsWith("application/json") || body.length === 0) return undefined;
  try {
    JSON.parse(textOf({ status, headers, body }));
    return undefined;
  } catch (error) {
    return `no JSON: ${String(error)}`;
  }
}

function textOf({ headers, body }: WireReply): string {
  switch (headers.get("content-encoding")) {
    case "gzip":
      return gunzipSync(body).toString("utf8");
    case "deflate":
      return inflateSync(body).toString("utf8");
    default:
      return body.toString("utf8");
  }
}

/** @returns what is wrong with the reply to a request of JSON-RPC. */
export function misfit(reply: WireReply, awaited: Awaited): string | undefined {
  const problem = problemOf(reply);
  if (problem !== undefined || awaited.kind === "any") return problem;
  const text = textOf(reply);
  const shown = `${reply.status} ${text.slice(0, 300)}`;
  if (awaited.kind === "1.0") {
    // Envelopes and fields that are malformed are refused in plain text.
    if (reply.status === 400) return text === "" ? "400 without a reason" : undefined;
    if (reply.status !== 200) return `unexpected: ${shown}`;
    if (awaited.id === undefined) return text === "" ? undefined : `a reply to a notification: ${shown}`;
    const fits = /^\{"result":(.*),"error":(.*),"id":/s.test(text) && text.endsWith(`,"id":${awaited.id}}\n`);
    const { result, error } = JSON.parse(text) as { result: unknown; error: unknown };
    return fits && (result === null) !== (error === null)
      ? undefined
      : `id ${awaited.id} does not fit: ${shown}`;
  }
  if (awaited.kind === "2.0" && awaited.id === undefined) {
    // A notification of a malformed request is answered, because it might have had an id.
    if (reply.status === 204) return undefined;
    return text.endsWith('"id":null}\n') ? undefined : `a reply to a notification: ${shown}`;
  }
  if (awaited.kind === "batch" && awaited.ids.length === 0 && reply.status === 204) return undefined;
  if (reply.status !== 200) return `unexpected: ${shown}`;
  const value = JSON.parse(text) as unknown;
  if (awaited.kind === "2.0") {
    return isReply20(value) && text.endsWith(`"id":${awaited.id}}\n`)
      ? undefined
      : `id ${awaited.id} does not fit: ${shown}`;
  }
  if (!Array.isArray(value) || !value.every(isReply20)) return `no batch: ${shown}`;
  // A malformed element has the id null, whatever it was.
  const ids = value.flatMap(({ id }) => (id === null ? [] : [String(id)])).sort();
  const wanted = [...awaited.ids].sort();
  return ids.join() === wanted.join() ? undefined : `ids ${wanted.join()} do not fit: ${shown}`;
}

function isReply20(value: unknown): value is { id: unknown } {
  if (typeof value !== "object" || value === null) return false;
  const reply = value as { jsonrpc?: unknown; id?: unknown; error?: { code?: unknown } };
  const { error } = reply;
  return (
    reply.jsonrpc === "2.0" &&
    "id" in reply &&
    "result" in reply === (error === undefined) &&
    (error === undefined || Number.isInteger(error.code))
  );
}
