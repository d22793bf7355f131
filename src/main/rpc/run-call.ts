import type { Request } from "../../protocol/json-rpc/envelope.js";
import { aboutOperation } from "../../protocol/json-rpc/failure-text.js";
import type { Method, Planned, Routed, RoutedToPools } from "../../protocol/json-rpc/methods/method.js";
import type { JsonText } from "../../protocol/json-rpc/reply-text.js";
import { internalFailure, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { NodeOperation } from "../../protocol/storage/node-operations.js";
import { isRead } from "../../protocol/storage/operation-kinds.js";
import { keyOf, replyTooLarge } from "../../protocol/storage/reply-limit.js";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import type { Span, SpanAttributes } from "../../protocol/tracing/span.js";
import { admit, lacksRole } from "../access/admission.js";
import type { Caller } from "../access/caller.js";
import type { CallReport } from "../observability/call-report.js";
import type { Client } from "../pools/actor-handle.js";
import { type ReplyContext, type Soon, spend } from "./reply-context.js";
import { answerOnTerms, type RunOnTerms } from "./run-on-terms.js";

/** Calls `next` with the value, at once if that is no promise. */
export function whenReady<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

export interface CallOptions {
  readonly pools: readonly PoolName[];
  /** The most bytes that the answers in one reply may have, as JSON text. */
  readonly replyBytes: number;
  /** Runs a planned operation in the actor of its pool, for a client that may go before its end. */
  run(routed: Routed, client: Client, caller: Caller): Soon<Outcome<unknown>>;
  /** Runs a change whose request says how. */
  readonly runOnTerms: RunOnTerms;
  /** Runs an operation that main answers itself. */
  runOnNode(operation: NodeOperation, caller: Caller, client: Client): Soon<Outcome<unknown>>;
  /** Called once for each call, with the answer of one that did what it was asked for, sent or not. */
  report(call: CallReport, answer?: unknown): void;
}

/** A call that was read and checked, and is not run yet. */
export interface PlannedCall {
  readonly method: Method;
  readonly planned: Outcome<Planned>;
  /** By performance.now(). */
  readonly startedAt: number;
  readonly caller: Caller;
}

/** Reads and checks a call, and whether its caller may make it. */
export function planCall(
  { pools }: CallOptions,
  method: Method,
  { params, version }: Pick<Request, "params" | "version">,
  caller: Caller,
): PlannedCall {
  const startedAt = performance.now();
  const { grant } = caller;
  const planned = lacksRole(method.role, grant) ?? method.plan(params, version === "2.0", pools);
  return { method, planned: admit(planned, grant), startedAt, caller };
}

/** Runs the operation of a call and reports it. @returns the result as JSON text. */
export function runCall(
  options: CallOptions,
  { method, planned, startedAt, caller }: PlannedCall,
  context: ReplyContext,
): Soon<Outcome<JsonText>> {
  const pool = planned.ok ? poolOf(planned.value) : "";
  const { client } = context;
  // Later its client may have gone, and a change must be known by it all the same.
  const asked = planned.ok && !isRead(planned.value.operation) ? { peer: client.peer } : client;
  const span = client.span?.child(method.name, "internal", callAttributes(method, planned), startedAt);
  const report = (outcome: Outcome<JsonText>, answer?: unknown) => {
    const failure = outcome.ok ? undefined : outcome.failure;
    const ms = performance.now() - startedAt;
    const told = {
      method: method.name,
      pool,
      code: failure?.code ?? "ok",
      ms,
      requestId: client.requestId,
      client: asked,
      caller: caller.id,
      traceId: span?.traceId,
      operation: planned.ok ? planned.value.operation : undefined,
      message: failure?.message,
      detail: failure?.cause ?? failure?.detail,
    };
    options.report(told, answer);
    span?.end(failure?.code);
    return outcome;
  };
  if (!planned.ok) return report(planned);
  const { operation } = planned.value;
  const asking = span ? clientOf(client, span) : client;
  if ("pool" in planned.value && planned.value.terms && !isRead(operation)) {
    const call = { routed: planned.value, terms: planned.value.terms, asker: { caller, client: asking } };
    return answerOnTerms(
      options.runOnTerms,
      method,
      call,
      { replyBytes: options.replyBytes, context },
      report,
    );
  }
  const encode = (answer: unknown): Outcome<JsonText> => {
    const text = method.encode(answer, context.leftBytes);
    if (text === undefined) return replyTooLarge(operation, options.replyBytes);
    if (!context.held.add(text)) return context.held.refusal(operation);
    spend(context, text);
    return succeed(text);
  };
  const finish = (outcome: Outcome<unknown>) => {
    if (outcome.ok) return report(encode(outcome.value), outcome.value);
    return report({ ok: false, failure: aboutOperation(outcome.failure, operation) });
  };
  const outcome = runShared(options, planned.value, caller, { client: asking, reads: context.reads });
  return outcome instanceof Promise ? outcome.catch(internalFailure).then(finish) : finish(outcome);
}

/** What a trace has of a call. A call to several pools has none of them. */
function callAttributes({ name }: Method, planned: PlannedCall["planned"]): SpanAttributes {
  const known = { "rpc.system": "jsonrpc", "rpc.method": name };
  if (!planned.ok) return known;
  const { operation } = planned.value;
  return { ...known, "imagestore.pool": poolOf(planned.value), "imagestore.datasets": subjectsOf(operation) };
}

/** The same client, for one of its calls. */
function clientOf(client: Client, span: Span): Client {
  const { requestId, peer } = client;
  return { requestId, peer, span, onDisconnect: (listener) => client.onDisconnect(listener) };
}

/** Runs an operation, or takes the answer of the same read in the same reply. */
function runShared(
  options: CallOptions,
  planned: Planned,
  caller: Caller,
  { client, reads }: Pick<ReplyContext, "client" | "reads">,
): Soon<Outcome<unknown>> {
  if (reads === undefined || !isRead(planned.operation)) return runPlanned(options, planned, caller, client);
  const key = callKey(planned);
  const known = reads.get(key);
  if (known !== undefined) return known;
  const outcome = runPlanned(options, planned, caller, client);
  reads.set(key, outcome);
  return outcome;
}

function runPlanned(
  options: CallOptions,
  planned: Planned,
  caller: Caller,
  client: Client,
): Soon<Outcome<unknown>> {
  if ("pool" in planned) return options.run(planned, client, caller);
  if ("onNode" in planned) return options.runOnNode(planned.operation, caller, client);
  return runOnPools(planned, (routed) => options.run(routed, client, caller));
}

/** A text that is equal for two calls exactly if they ask the same pools for the same. */
export function callKey(planned: Planned): string {
  const pools = "pool" in planned ? [planned.pool] : "pools" in planned ? planned.pools : [];
  return `${pools.join("/")} ${keyOf(planned.operation)}`;
}

/** The pool in the report of a call; "" if it is for several pools or for the node. */
function poolOf(planned: Planned): string {
  if ("pool" in planned) return planned.pool;
  if ("onNode" in planned) return "";
  const [first = "", ...more] = planned.pools;
  return more.length === 0 ? first : "";
}

/** Runs an operation on each pool. @returns the answers in the pools' order, or the first failure. */
async function runOnPools(
  { pools, operation }: RoutedToPools,
  run: (routed: Routed) => Soon<Outcome<unknown>>,
): Promise<Outcome<readonly unknown[]>> {
  const outcomes = await Promise.all(pools.map((pool) => run({ pool, operation })));
  const answers: unknown[] = [];
  for (const outcome of outcomes) {
    if (!outcome.ok) return outcome;
    answers.push(outcome.value);
  }
  return succeed(answers);
}
