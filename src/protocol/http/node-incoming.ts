import type { IncomingMessage, ServerResponse } from "node:http";
import { type BodyTaker, type ClosableReply, DISCARD_MS, type IncomingBody } from "./transport.js";

/**
 * Reads what comes of a body, and keeps nothing of it: a connection that is closed with bytes unread is
 * reset, and its client might never see the answer.
 */
export function discardBody(incoming: IncomingMessage): void {
  const { socket } = incoming;
  const deadline = setTimeout(() => socket.destroy(), DISCARD_MS);
  const stop = () => {
    clearTimeout(deadline);
    // The connection may live on, for thousands of such requests.
    socket.off("close", stop);
  };
  incoming.once("end", stop);
  socket.once("close", stop);
  incoming.resume();
}

/** Reads what is left of a body for a while, and keeps nothing of it. Then calls `onRead`: a client that still sends would be reset. */
export function afterBody(incoming: IncomingMessage, onRead: () => void): void {
  if (incoming.readableEnded || incoming.destroyed) return onRead();
  const read = () => {
    clearTimeout(deadline);
    incoming.off("end", read);
    incoming.off("close", read);
    onRead();
  };
  const deadline = setTimeout(read, DISCARD_MS);
  incoming.once("end", read);
  incoming.once("close", read);
  incoming.resume();
}

/** The body of a request of node:http, piece by piece. What is left of it is discarded once the request is answered. */
export class NodeIncoming implements IncomingBody {
  readonly length: number | undefined;
  private taker: BodyTaker | undefined;
  /** The last piece has come, or the client has gone. */
  private isOver = false;

  constructor(
    private readonly incoming: IncomingMessage,
    outgoing: ServerResponse,
    reply: ClosableReply,
  ) {
    const stated = incoming.headers["content-length"];
    this.length = stated === undefined ? undefined : Number(stated);
    incoming.on("data", (piece: Buffer) => this.taker?.onPiece(piece));
    incoming.once("end", () => this.end(incoming.complete));
    incoming.once("close", () => this.end(false));
    outgoing.once("close", () => this.end(false));
    if (!outgoing.shouldKeepAlive) {
      // node:http closes with the answer, and a client that still sends would be reset: so the answer waits.
      reply.later = (write) => {
        this.taker = undefined;
        afterBody(incoming, write);
      };
      return;
    }
    outgoing.once("finish", () => {
      this.taker = undefined;
      if (!this.isOver) discardBody(incoming);
    });
  }

  start(taker: BodyTaker): void {
    this.taker = taker;
  }

  pause(): void {
    if (!this.isOver) this.incoming.pause();
  }

  resume(): void {
    if (!this.isOver) this.incoming.resume();
  }

  private end(isWhole: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.taker?.onEnd(isWhole);
  }
}
