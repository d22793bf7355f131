import {
  claimsVersion2,
  encodeReply10,
  encodeReply20,
  encodeRpcError20,
  readRequest10,
  readRequest20,
} from "../../protocol/json-rpc/envelope.js";
import {
  elementsOf,
  jsonProblem,
  kindOf,
  membersOf,
  type Span,
  wholeValue,
} from "../../protocol/json-rpc/json.js";
import { findMethod, type Method, type Routed } from "../../protocol/json-rpc/methods.js";
import { readParams } from "../../protocol/json-rpc/params.js";
import { internalFailure, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import { encodeBody } from "../http/encoding.js";
import { allowing, JSON_TEXT, PLAIN_TEXT, RETRY_AFTER } from "../http/headers.js";
import type { Headers, HttpReply, HttpRequest } from "../http/transport.js";

/** How one call ended, for the log and the metrics. */
export interface CallReport {
  readonly method: string;
  readonly pool: string;
  /** "ok", a failure's code, or an rpc error's reason. */
  readonly code: string;
  readonly ms: number;
  readonly detail?: string | undefined;
}

export interface RpcOptions {
  readonly pools: readonly PoolName[];
  readonly batchLength: number;
  /** Answers at once where no other thread is needed. */
  run(routed: Routed): Outcome<unknown> | Promise<Outcome<unknown>>;
  report(call: CallReport): void;
  /** A bug while answering: the client gets a 500, the daemon goes on. */
  onBug(error: unknown): void;
}

/** Which dialect a path speaks where a request itself does not tell. */
export type Dialect = "1.0" | "2.0";

const NOSNIFF = ["X-Content-Type-Options", "nosniff"] as const;
const VARY = ["Vary", "Accept-Encoding"] as const;
const JSON_HEADERS: Headers = [...JSON_TEXT, NOSNIFF, VARY];

/** A reply to one call: its JSON text; undefined for a notification. */
interface Answered {
  readonly text: string | undefined;
  readonly overloaded: boolean;
}

/**
 * Answers one HTTP request by JSON-RPC: checks in the contract's order, reads the
 * request, has its operation run, and writes the reply.
 */
export function handleRpc(
  options: RpcOptions,
  dialect: Dialect,
  request: HttpRequest,
  reply: HttpReply,
): void {
  try {
    dispatch(options, dialect, request, reply);
  } catch (error) {
    replyToBug(options, reply, error);
  }
}

function dispatch(options: RpcOptions, dialect: Dialect, request: HttpRequest, reply: HttpReply): void {
  const refusal = httpRefusal(request);
  if (refusal) return reply.send(refusal.status, refusal.headers, refusal.text);
  const text = request.body;
  const accept = request.header("accept-encoding");
  const problem = jsonProblem(text);
  if (problem !== undefined) {
    if (dialect === "1.0") return reply.send(400, PLAIN_TEXT, `rpc: the body is no JSON: ${problem}`);
    return sendJson20(reply, accept, encodeRpcError20("null", "parse", problem), false);
  }
  const whole = wholeValue(text);
  const kind = kindOf(text, whole.start);
  if (kind === "array") {
    const elements = elementsOf(text, whole.start);
    if (dialect === "2.0" || elements.some((each) => isVersion2(text, each))) {
      return guard(options, reply, handleBatch(options, text, elements, accept, reply));
    }
    return reply.send(400, PLAIN_TEXT, "rpc: expected an object, got an array: batches need JSON-RPC 2.0");
  }
  if (isVersion2(text, whole) || (dialect === "2.0" && !isVersion1(text, whole))) {
    const answering = answer20(options, text, whole).then((answered) => {
      if (answered.text === undefined) reply.send(204, [NOSNIFF], "");
      else sendJson20(reply, accept, answered.text, answered.overloaded);
    });
    return guard(options, reply, answering);
  }
  if (kind !== "object") return reply.send(400, PLAIN_TEXT, `rpc: expected an object, got ${kind}`);
  answer10(options, text, whole, accept, reply);
}

function guard(options: RpcOptions, reply: HttpReply, answering: Promise<void>): void {
  answering.catch((error: unknown) => replyToBug(options, reply, error));
}

function replyToBug(options: RpcOptions, reply: HttpReply, error: unknown): void {
  options.onBug(error);
  reply.send(500, PLAIN_TEXT, "rpc: internal error");
}

function isVersion2(text: string, span: Span): boolean {
  return kindOf(text, span.start) === "object" && claimsVersion2(text, span.start);
}

/** On the 2.0 path a request that is plainly 1.0 is served as such. */
function isVersion1(text: string, span: Span): boolean {
  if (kindOf(text, span.start) !== "object") return false;
  const read = readRequest10(text, span.start);
  if ("problem" in read || read.request.method === "") return false;
  return membersOf(text, span.start).every(({ key }) => key !== "jsonrpc");
}

function httpRefusal(request: HttpRequest): { status: number; headers: Headers; text: string } | undefined {
  if (request.method !== "POST" && request.method !== "GET") {
    return {
      status: 405,
      headers: allowing("GET, POST"),
      text: `rpc: POST method required, received ${request.method}`,
    };
  }
  const contentType = request.header("content-type");
  // What nearly everybody sends, before it is taken apart.
  if (contentType !== "application/json") {
    const [type = ""] = contentType.split(";");
    if (type !== "" && type.trim().toLowerCase() !== "application/json") {
      return { status: 415, headers: PLAIN_TEXT, text: `rpc: unrecognized Content-Type: ${type}` };
    }
  }
  if (request.tooLarge)
    return { status: 413, headers: PLAIN_TEXT, text: "rpc: the body is larger than limits.bodyBytes allows" };
  return undefined;
}

/** Sends a reply of 2.0, which ends with a newline like those of 1.0. */
function sendJson20(reply: HttpReply, accept: string, text: string, overloaded: boolean): void {
  sendJson(reply, accept, `${text}\n`, overloaded);
}

function sendJson(reply: HttpReply, accept: string, text: string, overloaded: boolean): void {
  const send = ({ body, encoding }: Awaited<ReturnType<typeof encodeBody>>) => {
    if (encoding === undefined && !overloaded) return reply.send(200, JSON_HEADERS, body);
    const headers: (readonly [string, string])[] = [...JSON_HEADERS];
    if (encoding !== undefined) headers.push(["Content-Encoding", encoding]);
    if (overloaded) headers.push(...RETRY_AFTER);
    reply.send(200, headers, body);
  };
  const encoded = encodeBody(text, accept);
  if (encoded instanceof Promise) void encoded.then(send);
  else send(encoded);
}

/** Plans, runs and encodes one call; reports how it ended. */
function call(
  options: RpcOptions,
  method: Method,
  text: string,
  params: Span | undefined,
  allowObject: boolean,
): Outcome<string> | Promise<Outcome<string>> {
  const startedAt = performance.now();
  const planned = planCall(options, method, text, params, allowObject);
  const pool = planned.ok ? planned.value.pool : "";
  const finish = (outcome: Outcome<unknown>): Outcome<string> => {
    const failure = outcome.ok ? undefined : outcome.failure;
    const ms = performance.now() - startedAt;
    options.report({ method: method.name, pool, code: failure?.code ?? "ok", ms, detail: failure?.detail });
    return outcome.ok ? succeed(method.encode(outcome.value)) : outcome;
  };
  if (!planned.ok) return finish(planned);
  const running = options.run(planned.value);
  return running instanceof Promise ? running.catch(internalFailure).then(finish) : finish(running);
}

function planCall(
  options: RpcOptions,
  method: Method,
  text: string,
  params: Span | undefined,
  allowObject: boolean,
): Outcome<Routed> {
  const request = readParams(method.request, method.struct, text, params, allowObject);
  return request.ok ? method.plan(request.value, options.pools) : request;
}

function answer10(options: RpcOptions, text: string, whole: Span, accept: string, reply: HttpReply): void {
  const refuse = (message: string) => {
    options.report({ method: "", pool: "", code: "request.malformed", ms: 0, detail: message });
    reply.send(400, PLAIN_TEXT, message);
  };
  const read = readRequest10(text, whole.start);
  if ("problem" in read) return refuse(read.problem);
  const { method: name, params, id } = read.request;
  const lookup = findMethod(name);
  if ("missing" in lookup) return refuse(MISSING_10[lookup.missing](name));
  if (params === undefined) return refuse("rpc: method request ill-formed: missing params field");
  const answer = (outcome: Outcome<string>) => {
    // A field of the wrong type is a matter of the request, not of the method: 400.
    if (!outcome.ok && outcome.failure.code === "request.malformed") {
      return reply.send(400, PLAIN_TEXT, outcome.failure.message);
    }
    if (id === undefined) return reply.send(200, [], "");
    sendJson(reply, accept, encodeReply10(id, outcome), isOverload(outcome));
  };
  const running = call(options, lookup.found, text, params, false);
  if (running instanceof Promise) guard(options, reply, running.then(answer));
  else answer(running);
}

const MISSING_10 = {
  "ill-formed": (name: string) => `rpc: service/method request ill-formed: ${JSON.stringify(name)}`,
  service: (name: string) => `rpc: can't find service ${JSON.stringify(name)}`,
  method: (name: string) => `rpc: can't find method ${JSON.stringify(name)}`,
} as const;

function isOverload(outcome: Outcome<unknown>): boolean {
  return !outcome.ok && outcome.failure.code === "service.overloaded";
}

async function answer20(options: RpcOptions, text: string, span: Span): Promise<Answered> {
  const read = readRequest20(text, span);
  if ("invalid" in read)
    return { text: encodeRpcError20(read.id, "invalid", read.invalid), overloaded: false };
  const { method: name, params, id } = read.request;
  const lookup = findMethod(name);
  if ("missing" in lookup) {
    const error = id && encodeRpcError20(id, "noMethod", `there is no method ${JSON.stringify(name)}`);
    return { text: error, overloaded: false };
  }
  const outcome = await call(options, lookup.found, text, params, true);
  if (id === undefined) return { text: undefined, overloaded: false };
  return { text: encodeReply20(id, outcome), overloaded: isOverload(outcome) };
}

async function handleBatch(
  options: RpcOptions,
  text: string,
  elements: readonly Span[],
  accept: string,
  reply: HttpReply,
): Promise<void> {
  const invalid = (detail: string) =>
    sendJson20(reply, accept, encodeRpcError20("null", "invalid", detail), false);
  if (elements.length === 0) return invalid("an empty batch");
  if (elements.length > options.batchLength) {
    return invalid(`a batch holds at most ${options.batchLength} requests, got ${elements.length}`);
  }
  const answered = await Promise.all(elements.map((element) => answer20(options, text, element)));
  const texts = answered.flatMap((each) => each.text ?? []);
  if (texts.length === 0) return reply.send(204, [NOSNIFF], "");
  sendJson20(
    reply,
    accept,
    `[${texts.join(",")}]`,
    answered.some((each) => each.overloaded),
  );
}
