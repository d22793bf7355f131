import { PLAIN_TEXT, RETRY_AFTER } from "./headers.js";
import { type ClosableReply, DISCARD_FACTOR, type HttpLimits } from "./transport.js";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Shorter bodies are not counted once they are complete. limits.mailbox bounds how many there can be. */
const UNCOUNTED_BYTES = 4 * 1024;
const FIRST_BUFFER_BYTES = 4 * 1024;
const NOTHING = new Uint8Array(0);

/** What all bodies of a listener share. */
export interface BodyRoom {
  readonly limits: HttpLimits;
  /** Memory of the bodies that are kept: each from its first piece until its request is answered. */
  bytesInFlight: number;
}

/** The words that answer a body which is longer than `limits.bodyBytes`, with the status 413. */
export function bodyTooLarge(bodyBytes: number): string {
  return `the body is larger than limits.bodyBytes (${bodyBytes} bytes) allows`;
}

/** Hands over a request whose body is complete or too long. Called at most once. */
type HandOver = (body: string, tooLarge: boolean) => void;

/** Gathers the body of one request. It hands the body over, or answers the request itself: 408 or 503. */
export class BodyReader {
  /** The pieces before the last one, at its beginning: a piece of one byte takes no more than that. */
  private buffer = NOTHING;
  /** Bytes received so far, discarded ones too. */
  private size = 0;
  /** What of `room.bytesInFlight` is this body's. */
  private counted = 0;
  /** Once true it stays so: there was no room for this body, and what comes of it is discarded. */
  private hasNoRoom = false;
  /** Once true it stays so: the body was handed over or refused, and later pieces are discarded. */
  private isDone = false;
  /** Set with `expect`, or the first piece that is not the last. Runs until `isDone`. */
  private deadline: NodeJS.Timeout | undefined;

  constructor(
    private readonly room: BodyRoom,
    private readonly reply: ClosableReply,
    private readonly handOver: HandOver,
  ) {}

  /** Takes the next piece, whose memory is not used after the call. */
  add(piece: Uint8Array, isLast: boolean): void {
    if (this.isDone) return;
    const { bodyBytes } = this.room.limits;
    const before = this.size;
    this.size += piece.length;
    if (isLast && before === 0) return this.finish(piece);
    if (this.size > bodyBytes) this.discard();
    else if (!this.hasNoRoom) this.keep(piece, before);
    if (isLast) return this.finish(this.buffer.subarray(0, this.size));
    if (this.size > bodyBytes * DISCARD_FACTOR) {
      this.reply.closeAfter = true;
      return this.finish(NOTHING);
    }
    this.expect();
  }

  /** Begins `timeouts.bodyMs`, unless it has begun. For a body of which no byte may ever come. */
  expect(): void {
    if (this.isDone || this.deadline !== undefined) return;
    this.deadline = setTimeout(() => this.refuseLate(), this.room.limits.bodyMs);
    this.reply.onDisconnect(() => this.end());
  }

  /** Gives back what the body has of the daemon's room. Call it when the request is answered. */
  release(): void {
    this.count(0);
  }

  private count(bytes: number): void {
    this.room.bytesInFlight += bytes - this.counted;
    this.counted = bytes;
  }

  /** Counts the memory of this body. If the daemon has no room for it, the body is given up. */
  private takeRoom(bytes: number): void {
    this.count(bytes);
    if (this.room.bytesInFlight <= this.room.limits.bodyBytesInFlight) return;
    this.hasNoRoom = true;
    this.discard();
  }

  private keep(piece: Uint8Array, at: number): void {
    const { buffer, size } = this;
    if (size > buffer.length) {
      const wanted = Math.max(size, 2 * buffer.length, FIRST_BUFFER_BYTES);
      const length = Math.min(wanted, this.room.limits.bodyBytes);
      this.takeRoom(length);
      if (this.hasNoRoom) return;
      this.buffer = new Uint8Array(length);
      this.buffer.set(buffer.subarray(0, at));
    }
    this.buffer.set(piece, at);
  }

  private discard(): void {
    this.buffer = NOTHING;
    this.release();
  }

  /** No more is taken of this body, and none of it is kept here. */
  private end(): void {
    this.isDone = true;
    clearTimeout(this.deadline);
    this.discard();
  }

  /** @param whole the body, unless it was discarded. */
  private finish(whole: Uint8Array): void {
    this.end();
    const { bodyBytes, bodyBytesInFlight } = this.room.limits;
    if (this.size > bodyBytes) return this.handOver("", true);
    if (!this.hasNoRoom && this.size >= UNCOUNTED_BYTES) this.takeRoom(this.size);
    if (!this.hasNoRoom) return this.handOver(utf8.decode(whole), false);
    const text = `the bodies of other requests take all of limits.bodyBytesInFlight (${bodyBytesInFlight} bytes), try again`;
    this.reply.send(503, [...PLAIN_TEXT, ...RETRY_AFTER], text);
  }

  private refuseLate(): void {
    this.end();
    this.reply.closeAfter = true;
    const { bodyMs } = this.room.limits;
    this.reply.send(408, PLAIN_TEXT, `the body did not arrive within timeouts.bodyMs (${bodyMs} ms)`);
  }
}
