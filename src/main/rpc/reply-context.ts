import { byteLength, type JsonText } from "../../protocol/json-rpc/reply-text.js";
import type { Outcome } from "../../protocol/storage/failures.js";
import type { Client } from "../pools/actor-handle.js";
import type { HeldTexts } from "./reply-room.js";

/** A value or a promise of it. Calls that need no other thread go without promises, which is faster. */
export type Soon<T> = T | Promise<T>;

/** What the calls of one reply share. */
export interface ReplyContext {
  readonly client: Client;
  /** How many bytes the answers that are still to come may have. */
  leftBytes: number;
  /** The answers that it has already. */
  readonly held: HeldTexts;
  /** The reads of a batch by what they ask for: each runs once. Undefined for a request of its own. */
  readonly reads: Map<string, Soon<Outcome<unknown>>> | undefined;
}

/** Leaves less for the other answers of a batch. A request of its own has no others. */
export function spend(context: ReplyContext, text: JsonText): void {
  if (context.reads) context.leftBytes -= byteLength(text);
}
