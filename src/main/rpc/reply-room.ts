import type { HttpReply } from "../../protocol/http/transport.js";
import { byteLength, type JsonText } from "../../protocol/json-rpc/reply-text.js";
import { type FailedOutcome, fail } from "../../protocol/storage/failures.js";
import type { AnyOperation } from "../../protocol/storage/node-operations.js";
import { isRead } from "../../protocol/storage/operation-kinds.js";

/**
 * A reply whose texts are shorter than this, all together, is not counted. limits.connections bounds
 * how many there can be.
 */
const UNCOUNTED_BYTES = 4 * 1024;

/**
 * Bounds the text of all replies that have been made and that their clients have not taken. A text
 * that several replies share counts once, as it is in memory once.
 *
 * What does not fit is refused, and does not wait. The room is full only if clients don't take what
 * they have asked for: it would come back when they do, or after timeouts.replyMs, and until then
 * nobody who waits would know why. And a batch keeps the room of the answers that it has while others
 * of it are still to come: batches that wait for each other's room would wait for ever.
 */
export class ReplyRoom {
  /** Bytes that are held now, at most `limit`. */
  bytes = 0;
  /** How many replies hold each shared text. */
  private readonly shared = new Map<Uint8Array, number>();

  constructor(private readonly limit: number) {}

  /** Counts a text. @returns false if it does not fit. */
  take(text: JsonText): boolean {
    const holders = typeof text === "string" ? 0 : (this.shared.get(text) ?? 0);
    if (holders === 0) {
      const bytes = byteLength(text);
      if (this.bytes + bytes > this.limit) return false;
      this.bytes += bytes;
    }
    if (typeof text !== "string") this.shared.set(text, holders + 1);
    return true;
  }

  /** Undoes `take` of the same text. */
  giveBack(text: JsonText): void {
    if (typeof text !== "string") {
      const holders = (this.shared.get(text) ?? 0) - 1;
      if (holders > 0) return void this.shared.set(text, holders);
      this.shared.delete(text);
    }
    this.bytes -= byteLength(text);
  }

  /** The failure of a call whose answer has no room. It says whether its change was made. Undefined: a read. */
  refusal(operation: AnyOperation | undefined): FailedOutcome {
    const full = `the replies to other requests take all of limits.replyBytesInFlight (${this.limit} bytes)`;
    return operation === undefined || isRead(operation)
      ? fail("service.overloaded", `${full}, try again`)
      : fail("service.reply_too_large", `the change was made, and there is no room for its answer: ${full}`);
  }
}

/** What one reply holds of the room, until it is sent or its client has gone. */
export class HeldTexts {
  /** Those that are counted. */
  private texts: JsonText[] = [];
  private uncounted = 0;
  private isReleased = false;

  constructor(
    private readonly room: ReplyRoom,
    private readonly reply: Pick<HttpReply, "onEnd">,
  ) {}

  /** Holds a text that is to be part of the reply. @returns false if there is no room for it. */
  add(text: JsonText): boolean {
    if (typeof text === "string" && this.uncounted + text.length < UNCOUNTED_BYTES) {
      this.uncounted += text.length;
      return true;
    }
    if (this.isReleased) return true;
    if (!this.room.take(text)) return false;
    if (this.texts.push(text) === 1) this.reply.onEnd(() => this.release());
    return true;
  }

  /** The failure of a call whose answer has no room. */
  refusal(operation: AnyOperation | undefined): FailedOutcome {
    return this.room.refusal(operation);
  }

  private release(): void {
    this.isReleased = true;
    for (const text of this.texts) this.room.giveBack(text);
    this.texts = [];
  }
}
