import { allowing, JSON_TEXT, RETRY_AFTER } from "../../protocol/http/headers.js";
import type { Headers, HttpRequest, IncomingBody, WholeReply } from "../../protocol/http/transport.js";
import type { Method, Routed } from "../../protocol/json-rpc/methods/method.js";
import type { MethodTable } from "../../protocol/json-rpc/methods/table.js";
import { receiveMethod, receiveStateMethod } from "../../protocol/json-rpc/methods/volume-receives.js";
import { encodeFailure } from "../../protocol/json-rpc/replies.js";
import type { JsonText } from "../../protocol/json-rpc/reply-text.js";
import {
  FAILURES,
  type Failure,
  internalFailure,
  limitReached,
  type Outcome,
  succeed,
} from "../../protocol/storage/failures.js";
import { incomingOf } from "../../protocol/storage/partial-name.js";
import type { Caller } from "../access/caller.js";
import type { StreamingLanes } from "../downloads/streaming-lanes.js";
import { HeldTexts, ReplyRoom } from "../rpc/reply-room.js";
import { type CallOptions, type PlannedCall, planCall, runCall, whenReady } from "../rpc/run-call.js";
import { paramsOf } from "./receive-requests.js";
import type { StreamBody } from "./stream-body.js";

export interface ReceiveOptions {
  readonly calls: CallOptions;
  readonly methods: Pick<MethodTable, "find">;
  /** How many clients may send streams at once. */
  readonly maxBodies: number;
  /** As of ReplyRoom. */
  readonly replyBytesInFlight: number;
  /** Has the streams of clients, and knows how far what runs has come. */
  readonly streaming: Pick<StreamingLanes, "listFetches" | "bodies">;
}

/** Serves requests to RECEIVE_PATH. */
export type Receives = (request: HttpRequest, reply: WholeReply, caller: Caller) => Promise<void>;

const NO_STORE: Headers = [...JSON_TEXT, ["Cache-Control", "no-store"]];
const METHODS = "GET, HEAD, POST, DELETE";
const NO_PARAMS = { params: undefined, version: "2.0" } as const;

/**
 * Serves streams that clients send, and tells and gives up what has come of them. Answers with what a method
 * answers, or with `error` as that of JSON-RPC 2.0 and a status that says the same.
 */
export function createReceives(options: ReceiveOptions): Receives {
  const { maxBodies } = options;
  const { bodies } = options.streaming;
  const calls: CallOptions = {
    ...options.calls,
    run: (routed, ...asker) =>
      whenReady(options.calls.run(routed, ...asker), (outcome) => withBytes(routed, outcome)),
  };
  const room = new ReplyRoom(options.replyBytesInFlight);
  const tooMany = limitReached("limits.downloads", `at most ${maxBodies} streams from clients at once`);
  const abandon = options.methods.find("AbandonReceive");

  /** Adds how far a receive that runs has come, which its actor does not know. */
  function withBytes({ pool, operation }: Routed, outcome: Outcome<unknown>): Outcome<unknown> {
    if (operation.op !== "GetReceive" || !outcome.ok) return outcome;
    const into = [operation.name, incomingOf(pool, operation.name)];
    const running = options.streaming.listFetches().find(({ order }) => into.includes(order.target));
    return running ? succeed({ ...Object(outcome.value), bytes: running.streamBytes }) : outcome;
  }

  function methodOf(verb: string): Method | undefined {
    if (verb === "POST") return receiveMethod;
    if (verb === "GET" || verb === "HEAD") return receiveStateMethod;
    return verb === "DELETE" && "found" in abandon ? abandon.found : undefined;
  }

  async function run(call: PlannedCall, reply: WholeReply): Promise<Outcome<JsonText>> {
    const context = {
      client: reply,
      leftBytes: calls.replyBytes,
      held: new HeldTexts(room, reply),
      reads: undefined,
    };
    return runCall(calls, call, context);
  }

  /** Puts into a planned call what its stream says. */
  async function withStream(call: PlannedCall, number: number, body: StreamBody): Promise<PlannedCall> {
    const { planned } = call;
    if (!planned.ok || planned.value.operation.op !== "ReceiveVolume" || !("pool" in planned.value))
      return call;
    const head = await body.head();
    if (!head.ok) return { ...call, planned: head };
    const operation = { ...planned.value.operation, stream: head.value, body: number };
    return { ...call, planned: succeed({ ...planned.value, operation }) };
  }

  /** To be called while the request is handled: the body is taken from its first byte on. */
  async function receive(call: PlannedCall, incoming: IncomingBody, reply: WholeReply): Promise<void> {
    const { number, body } = bodies.open(incoming);
    try {
      const outcome = await run(await withStream(call, number, body), reply);
      answer(reply, outcome.ok ? outcome : { ok: false, failure: whyBroken(outcome.failure, body) });
    } finally {
      bodies.close(number);
    }
  }

  return async (request, reply, caller) => {
    const method = methodOf(request.method);
    if (!method) return reply.send(405, allowing(METHODS), `method not allowed: ${request.method}\n`);
    const params = paramsOf(request);
    const planned = planCall(
      calls,
      method,
      { ...NO_PARAMS, ...(params.ok && { params: params.value }) },
      caller,
    );
    const call = params.ok || !planned.planned.ok ? planned : { ...planned, planned: params };
    const { incoming } = request;
    if (method !== receiveMethod || !call.planned.ok) return answer(reply, await run(call, reply));
    if (!incoming) return answer(reply, internalFailure(new Error("the body of a stream was gathered")));
    if (bodies.count >= maxBodies) return answer(reply, await run({ ...call, planned: tooMany }, reply));
    return receive(call, incoming, reply);
  };
}

/** A client that has fallen silent is told so, where it is there after all. */
function whyBroken(failure: Failure, { problem }: StreamBody): Failure {
  if (failure.code !== "stream.cut_short" || problem === undefined) return failure;
  return { ...failure, message: `the stream is cut short: ${problem}` };
}

function answer(reply: WholeReply, outcome: Outcome<JsonText>): void {
  if (outcome.ok) {
    const { value } = outcome;
    return reply.send(200, NO_STORE, typeof value === "string" ? `${value}\n` : value);
  }
  const { http } = FAILURES[outcome.failure.code];
  const headers = http === 503 ? [...NO_STORE, ...RETRY_AFTER] : NO_STORE;
  reply.send(http, headers, `{"error":${encodeFailure(outcome.failure)}}\n`);
}
