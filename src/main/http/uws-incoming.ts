import type { HttpResponse } from "@btc-vision/uwebsockets.js";
import { type BodyTaker, DISCARD_MS, type IncomingBody } from "../../protocol/http/transport.js";
import type { UwsReply } from "./uws-reply.js";
import type { ReceivedRequest } from "./uws-request.js";

/** The module ends a connection of which too little comes, the older build after 8 s. Taking the body anew begins its clock. */
const RENEW_MS = 3_000;

/**
 * The body of a request of uWebSockets.js, piece by piece. Create it within the request's handler. Once the request
 * is answered the module discards what is left of the body.
 */
export class UwsIncoming implements IncomingBody {
  readonly length: number | undefined;
  private taker: BodyTaker | undefined;
  private isPaused = false;
  /** The last piece has come, or the client has gone. */
  private isOver = false;
  private renewal: NodeJS.Timeout | undefined;
  /** Writes an answer that waits for the end of the body. */
  private answer: (() => void) | undefined;

  constructor(
    private readonly response: HttpResponse,
    private readonly reply: UwsReply,
    request: ReceivedRequest,
  ) {
    this.length = request.bodyLength;
    reply.onDone = this;
    if (reply.isLast) reply.later = (write) => this.writeAtEnd(write);
    // The module never tells of the end of such a body if the request's head came in several segments.
    if (request.isWithoutBody) queueMicrotask(() => this.end(true));
    else response.onData((chunk, isLast) => this.take(chunk, isLast));
  }

  start(taker: BodyTaker): void {
    this.taker = taker;
    this.renewal = setInterval(() => this.renew(), RENEW_MS);
  }

  pause(): void {
    if (this.isPaused || this.isOver || this.reply.isClosed) return;
    this.isPaused = true;
    this.response.pause();
  }

  resume(): void {
    if (!this.isPaused || this.isOver || this.reply.isClosed) return;
    this.isPaused = false;
    this.response.resume();
  }

  /** The request is answered, or its client has gone. */
  release(): void {
    if (this.reply.isDisconnected) return this.end(false);
    clearInterval(this.renewal);
    this.taker = undefined;
    if (this.isPaused && !this.isOver) this.response.resume();
    this.isPaused = false;
  }

  private take(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.isOver) return;
    if (chunk.byteLength > 0) this.taker?.onPiece(new Uint8Array(chunk));
    if (isLast) this.end(true);
  }

  private renew(): void {
    if (this.isOver || this.reply.isClosed) return;
    // The clock of a connection that was paused stands still, but pieces that were read with the one it was paused at start it.
    this.response.pause();
    if (!this.isPaused) this.response.resume();
  }

  private end(isWhole: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.renewal);
    // The last piece may have made its taker pause: nobody else would read on, and the connection has requests to come.
    if (this.isPaused && !this.reply.isClosed) this.response.resume();
    this.isPaused = false;
    this.taker?.onEnd(isWhole);
    this.answer?.();
  }

  /** Where the client wants its connection closed it is reset with the answer, if it still sends: so the answer waits. */
  private writeAtEnd(write: () => void): void {
    if (this.isOver) return write();
    const deadline = setTimeout(() => this.answer?.(), DISCARD_MS);
    this.answer = () => {
      clearTimeout(deadline);
      this.answer = undefined;
      write();
    };
  }
}
