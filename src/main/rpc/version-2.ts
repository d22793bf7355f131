import {
  type InvalidRequest,
  NO_ID,
  type Request,
  readBatchElement,
} from "../../protocol/json-rpc/envelope.js";
import type { JsonValue } from "../../protocol/json-rpc/json.js";
import type { MethodTable } from "../../protocol/json-rpc/methods/table.js";
import { readParams, struct } from "../../protocol/json-rpc/params.js";
import { encodeReply20, encodeRpcError20 } from "../../protocol/json-rpc/replies.js";
import { type JsonText, joinTexts } from "../../protocol/json-rpc/reply-text.js";
import { fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { nearestName } from "../../protocol/storage/nearest-name.js";
import { replyTooLarge } from "../../protocol/storage/reply-limit.js";
import type { Caller } from "../access/caller.js";
import type { Client } from "../pools/actor-handle.js";
import { type BatchLimits, batchCostProblem, batchLengthProblem, runSome } from "./batch.js";
import { DISCOVER, type Discovery } from "./discovery.js";
import type { ReplyContext, Soon } from "./reply-context.js";
import { HeldTexts, type ReplyRoom } from "./reply-room.js";
import { type CallOptions, type PlannedCall, planCall, runCall, whenReady } from "./run-call.js";
import type { JsonReply } from "./send-json.js";

export interface AnswerOptions extends CallOptions, BatchLimits {
  readonly methods: MethodTable;
  /** What `rpc.discover` answers. */
  readonly discover: Discovery;
}

/** Whom a reply is for. */
export interface Asker {
  readonly client: Client & { onEnd(listener: () => void): void };
  readonly room: ReplyRoom;
  readonly caller: Caller;
  /** The methods that its connection answers by itself. */
  readonly own: (name: string) => OwnMethod | undefined;
}

/** A method that a connection answers by itself, at once. @returns the result as JSON text. */
export type OwnMethod = (params: JsonValue | undefined) => Outcome<string>;

const NEEDS_CONNECTION: readonly string[] = ["Subscribe", "Unsubscribe"];

/** The methods of a connection that ends with its reply: the failure says where they work. */
export function ownMethodsOfHttp(name: string): OwnMethod | undefined {
  if (!NEEDS_CONNECTION.includes(name)) return undefined;
  const text = `${name} needs a connection that stays: open a WebSocket at /rpc, or ask GET /events`;
  return () => fail("request.invalid", text);
}

export function rpcError20(id: string, kind: "parse" | "invalid" | "noMethod", detail: string): JsonReply {
  return { text: encodeRpcError20(id, kind, detail), isOverload: false };
}

export function isOverload(outcome: Outcome<unknown>): boolean {
  return !outcome.ok && outcome.failure.code === "service.overloaded";
}

export function ownReply(
  { replyBytes }: AnswerOptions,
  { client, room }: Pick<Asker, "client" | "room">,
  reads?: ReplyContext["reads"],
): ReplyContext {
  return { client, leftBytes: replyBytes, held: new HeldTexts(room, client), reads };
}

/** @returns undefined for a notification. */
export function answer20(
  options: AnswerOptions,
  request: Request | InvalidRequest,
  asker: Asker,
): Soon<JsonReply | undefined> {
  const prepared = prepare20(options, request, asker);
  return "run" in prepared ? prepared.run(ownReply(options, asker)) : prepared.reply;
}

/** A request of 2.0: a call that can be run, or the reply that refuses it. */
type Prepared20 =
  | { readonly call?: PlannedCall; run(context: ReplyContext): Soon<JsonReply | undefined> }
  | { readonly reply: JsonReply | undefined };

function prepare20(options: AnswerOptions, request: Request | InvalidRequest, asker: Asker): Prepared20 {
  const { id } = request;
  if ("problem" in request) return { reply: rpcError20(request.id, "invalid", request.problem) };
  const { method: name } = request;
  const reply = (outcome: Outcome<JsonText>) =>
    id === undefined ? undefined : { text: encodeReply20(id, outcome), isOverload: isOverload(outcome) };
  const lookup = options.methods.find(name);
  if ("missing" in lookup) {
    if (name === DISCOVER) {
      return { run: (context) => whenReady(runDiscover(options, request.params, asker, context), reply) };
    }
    const own = asker.own(name);
    if (own) return { run: () => reply(runOwn(options, name, own, request.params, asker)) };
    const nearest = nearestName(name, options.methods.names);
    const hint = nearest === undefined ? "" : `, did you mean ${nearest}?`;
    const detail = `there is no method ${JSON.stringify(name)}${hint}`;
    return { reply: id === undefined ? undefined : rpcError20(id, "noMethod", detail) };
  }
  const call = planCall(options, lookup.found, request, asker.caller);
  return { call, run: (context) => whenReady(runCall(options, call, context), reply) };
}

function runOwn(
  options: AnswerOptions,
  method: string,
  run: OwnMethod,
  params: JsonValue | undefined,
  asker: Asker,
): Outcome<string> {
  const startedAt = performance.now();
  const outcome = run(params);
  reportOwn(options, method, outcome, startedAt, asker);
  return outcome;
}

function reportOwn(
  options: AnswerOptions,
  method: string,
  outcome: Outcome<JsonText>,
  startedAt: number,
  { client, caller }: Asker,
): void {
  const ms = performance.now() - startedAt;
  const { code, message } = outcome.ok ? { code: "ok", message: undefined } : outcome.failure;
  const { requestId } = client;
  options.report({ method, pool: "", code, ms, requestId, client, caller: caller.id, message });
}

/** It has no parameters. */
const nothing = struct({});

/** Answers `rpc.discover`, which everybody may ask who is let in: it tells nothing of this node. */
function runDiscover(
  options: AnswerOptions,
  params: JsonValue | undefined,
  asker: Asker,
  context: ReplyContext,
): Soon<Outcome<JsonText>> {
  const startedAt = performance.now();
  const report = (outcome: Outcome<JsonText>) => {
    reportOwn(options, DISCOVER, outcome, startedAt, asker);
    return outcome;
  };
  const read = readParams(nothing, "DiscoverRequest", params, true);
  if (!read.ok) return report(read);
  return whenReady(options.discover(), (text) => {
    if (text.length > context.leftBytes) return report(replyTooLarge(undefined, options.replyBytes));
    if (!context.held.add(text)) return report(context.held.refusal(undefined));
    context.leftBytes -= text.length;
    return report(succeed(text));
  });
}

/** Answers a batch of 2.0. @returns undefined if it has notifications alone. */
export function answerBatch20(
  options: AnswerOptions,
  batch: JsonValue,
  asker: Asker,
): Soon<JsonReply | undefined> {
  const refuse = (problem: string) => rpcError20(NO_ID, "invalid", problem);
  const tooLong = batchLengthProblem(batch.items.length, options);
  if (tooLong !== undefined) return refuse(tooLong);
  const requests = batch.items.map((item) => prepare20(options, readBatchElement(item), asker));
  const tooCostly = batchCostProblem(
    requests.flatMap((request) => ("call" in request && request.call ? [request.call] : [])),
    options,
  );
  if (tooCostly !== undefined) return refuse(tooCostly);
  const context = ownReply(options, asker, new Map());
  const answering = runSome(requests, (request) => ("run" in request ? request.run(context) : request.reply));
  return answering.then((answers) => {
    const replies = answers.filter((answer) => answer !== undefined);
    if (replies.length === 0) return undefined;
    return {
      text: joinTexts([
        "[",
        ...replies.flatMap(({ text }, index) => (index === 0 ? [text] : [",", text])),
        "]",
      ]),
      isOverload: replies.some((answer) => answer.isOverload),
    };
  });
}
