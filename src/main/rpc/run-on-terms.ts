import type { Method, Routed } from "../../protocol/json-rpc/methods/method.js";
import type { CallTerms } from "../../protocol/json-rpc/methods/terms.js";
import { isLongerThan, type JsonText } from "../../protocol/json-rpc/reply-text.js";
import { internalFailure, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { replyTooLarge } from "../../protocol/storage/reply-limit.js";
import type { Asker } from "./node-handlers.js";
import { type ReplyContext, spend } from "./reply-context.js";

/** A change that is to be run in the background, or once for all requests with its key. */
export interface CallOnTerms {
  readonly routed: Routed;
  readonly terms: CallTerms;
  /** Its client may have gone by now. */
  readonly asker: Asker;
  /** Writes what the change answers. */
  encode(answer: unknown): Outcome<JsonText>;
}

/** What such a call is answered. `ended`: of one that goes on, what the change answers in the end. */
export interface AnsweredOnTerms {
  readonly outcome: Outcome<JsonText>;
  readonly ended?: Promise<Outcome<JsonText>>;
}

export type RunOnTerms = (call: CallOnTerms) => Promise<AnsweredOnTerms>;

/**
 * Runs such a change, for a reply. `report` is called once: when the change has ended, or for a repeat
 * when it is answered.
 */
export async function answerOnTerms(
  run: RunOnTerms,
  method: Method,
  { asker, ...call }: Omit<CallOnTerms, "encode">,
  { replyBytes, context }: { readonly replyBytes: number; readonly context: ReplyContext },
  report: (outcome: Outcome<JsonText>, answer?: unknown) => Outcome<JsonText>,
): Promise<Outcome<JsonText>> {
  const { operation } = call.routed;
  const { requestId, peer, span } = asker.client;
  /** Of a change that this call has begun. */
  let made: unknown;
  const answered = await run({
    ...call,
    asker: { ...asker, client: { requestId, peer, span, onDisconnect: () => {} } },
    encode: (answer) => {
      made = answer;
      const text = method.encode(answer, replyBytes);
      return text === undefined ? replyTooLarge(operation, replyBytes) : succeed(text);
    },
  }).catch((error: unknown): AnsweredOnTerms => ({ outcome: internalFailure(error) }));
  const { outcome, ended } = answered;
  void ended?.then((end) => report(end, made));
  const held = outcome.ok ? hold(outcome.value) : outcome;
  return ended ? held : report(held, made);

  function hold(text: JsonText): Outcome<JsonText> {
    if (isLongerThan(text, context.leftBytes)) return replyTooLarge(operation, replyBytes);
    if (!context.held.add(text)) return context.held.refusal(operation);
    spend(context, text);
    return succeed(text);
  }
}
