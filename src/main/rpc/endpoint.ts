import { PLAIN_TEXT } from "../../protocol/http/headers.js";
import type { HttpReply, HttpRequest } from "../../protocol/http/transport.js";
import {
  hasVersion2,
  type InvalidRequest,
  NO_ID,
  type Request,
  readRequest,
  type Version,
} from "../../protocol/json-rpc/envelope.js";
import { type JsonValue, readJson } from "../../protocol/json-rpc/json.js";
import { encodeReply10 } from "../../protocol/json-rpc/replies.js";
import { joinTexts } from "../../protocol/json-rpc/reply-text.js";
import type { Caller } from "../access/caller.js";
import { type BodyEncoder, createBodyEncoder } from "../http/encoding.js";
import { passesHttpCheck } from "./http-check.js";
import type { Soon } from "./reply-context.js";
import { ReplyRoom } from "./reply-room.js";
import { planCall, runCall, whenReady } from "./run-call.js";
import { type JsonReply, NOSNIFF, sendJson } from "./send-json.js";
import {
  type AnswerOptions,
  type Asker,
  answer20,
  answerBatch20,
  isOverload,
  ownMethodsOfHttp,
  ownReply,
  rpcError20,
} from "./version-2.js";

export interface RpcOptions extends AnswerOptions {
  /** What a request's body may have, for messages. */
  readonly bodyBytes: number;
  /** Of all replies that have been made and not been sent: see ReplyRoom. */
  readonly replyBytesInFlight: number;
  /** Called with an exception, which is a bug. The client gets the status 500. */
  onBug(error: unknown): void;
}

/**
 * Answers an HTTP request as JSON-RPC. `defaultVersion` is the version of the path, for requests
 * that don't state theirs.
 */
export type RpcEndpoint = (
  defaultVersion: Version,
  request: HttpRequest,
  reply: HttpReply,
  caller: Caller,
) => void;

export function createRpcEndpoint(options: RpcOptions): RpcEndpoint {
  const encode = createBodyEncoder();
  const room = new ReplyRoom(options.replyBytesInFlight);
  return (defaultVersion, request, reply, caller) => {
    if (!passesHttpCheck(request, reply, options.bodyBytes)) return;
    const onError = (error: unknown) => {
      options.onBug(error);
      reply.send(500, PLAIN_TEXT, "rpc: internal error");
    };
    try {
      const answering = answerBody(options, defaultVersion, request.body, {
        reply,
        client: reply,
        accept: request.header("accept-encoding"),
        encode,
        room,
        caller,
        own: ownMethodsOfHttp,
      });
      if (answering instanceof Promise) answering.catch(onError);
    } catch (error) {
      onError(error);
    }
  };
}

/** The HTTP side of a call. */
interface HttpClient extends Asker {
  readonly reply: HttpReply;
  /** The request's Accept-Encoding. */
  readonly accept: string;
  readonly encode: BodyEncoder;
}

function answerBody(
  options: RpcOptions,
  defaultVersion: Version,
  body: string,
  client: HttpClient,
): Soon<void> {
  const read = readJson(body);
  if ("problem" in read) {
    if (defaultVersion === "1.0") return refuse10(client, `rpc: the body is no JSON: ${read.problem}`);
    return send20(client, rpcError20(NO_ID, "parse", read.problem));
  }
  const { value } = read;
  if (value.kind === "array") return answerBatch(options, defaultVersion, value, client);
  if (value.kind !== "object" && defaultVersion === "1.0") {
    return refuse10(client, `rpc: expected an object, got ${value.kind}`);
  }
  const request = readRequest(value, defaultVersion);
  if (request.version === "1.0") return answer10(options, request, client);
  return whenReady(answer20(options, request, client), (answer) => send20(client, answer));
}

// --- 1.0 ----------------------------------------------------------------------

function refuse10({ reply }: HttpClient, message: string): void {
  reply.send(400, PLAIN_TEXT, message);
}

function answer10(options: RpcOptions, request: Request | InvalidRequest, client: HttpClient): Soon<void> {
  const refuse = (message: string) => {
    const { requestId } = client.reply;
    options.report({
      method: "",
      pool: "",
      code: "request.malformed",
      ms: 0,
      requestId,
      client: client.reply,
      detail: message,
    });
    refuse10(client, message);
  };
  if ("problem" in request) return refuse(request.problem);
  const { method: name, params, id } = request;
  const lookup = options.methods.find(name);
  if ("missing" in lookup) return refuse(MISSING_10[lookup.missing](name));
  if (params === undefined) return refuse("rpc: method request ill-formed: missing params field");
  const call = planCall(options, lookup.found, request, client.caller);
  return whenReady(runCall(options, call, ownReply(options, client)), (outcome) => {
    // In 1.0, a field of the wrong type is answered with the status 400, as a malformed envelope is.
    if (!outcome.ok && outcome.failure.code === "request.malformed") {
      return refuse10(client, outcome.failure.message);
    }
    if (id === undefined) return client.reply.send(200, [], "");
    const answer = { text: encodeReply10(id, outcome), isOverload: isOverload(outcome) };
    return sendJson(client.reply, client.accept, answer, client.encode);
  });
}

const MISSING_10 = {
  "ill-formed": (name: string) => `rpc: service/method request ill-formed: ${JSON.stringify(name)}`,
  service: (name: string) => `rpc: can't find service ${JSON.stringify(name)}`,
  method: (name: string) => `rpc: can't find method ${JSON.stringify(name)}`,
} as const;

// --- 2.0 ----------------------------------------------------------------------

/** Sends a reply and a newline, as 1.0 has it. Undefined: only notifications came, so 204 is sent. */
function send20({ reply, accept, encode }: HttpClient, answer: JsonReply | undefined): Soon<void> {
  if (answer) return sendJson(reply, accept, { ...answer, text: joinTexts([answer.text, "\n"]) }, encode);
  reply.send(204, [NOSNIFF], "");
}

function answerBatch(
  options: RpcOptions,
  defaultVersion: Version,
  batch: JsonValue,
  client: HttpClient,
): Soon<void> {
  if (defaultVersion === "1.0" && !hasVersion2(batch)) {
    return refuse10(client, "rpc: expected an object, got an array: batches need JSON-RPC 2.0");
  }
  return whenReady(answerBatch20(options, batch, client), (answer) => send20(client, answer));
}
