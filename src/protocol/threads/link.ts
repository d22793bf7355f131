import { Packr } from "msgpackr";
import { type FailedOutcome, internalFailure, type Outcome } from "../storage/failures.js";

/** What a link needs of a node:worker_threads MessagePort. */
export interface FramePort {
  postMessage(value: unknown, transfer: readonly ArrayBuffer[]): void;
  on(event: "message", listener: (value: Uint8Array) => void): unknown;
  on(event: "close", listener: () => void): unknown;
  close(): void;
}

/** A two-way request link between threads. */
export interface Link {
  /** Asks the other side. Never rejects, and never hangs: a lost link settles every call. */
  call<T>(ask: unknown): Promise<Outcome<T>>;
  /** Tells the other side something, in order with asks and answers. */
  tell(news: unknown): void;
  /** Calls under way from this side. */
  readonly pending: number;
  /** Settles every pending call with `lost` and closes the port. */
  close(): void;
}

type Message =
  | readonly ["ask", number, unknown]
  | readonly ["answer", number, Outcome<unknown>]
  | readonly ["tell", number, unknown];

/**
 * Opens a link on a port. All messages of one turn of the event loop travel in one
 * msgpackr frame (docs/decisions/threads.md). When the port closes, every pending call is settled
 * with `lost`.
 */
export function openLink(
  port: FramePort,
  answer: (ask: unknown) => Promise<Outcome<unknown>>,
  lost: FailedOutcome,
  onTold: (news: unknown) => void = () => {},
): Link {
  // A packer of its own: shared structures across threads break msgpackr.
  const packr = new Packr();
  const calls = new Map<number, (outcome: Outcome<never>) => void>();
  let lastSeq = 0;
  let outgoing: Message[] = [];
  let closed = false;

  function flush(): void {
    const messages = outgoing;
    outgoing = [];
    if (closed) return;
    try {
      send(messages);
    } catch {
      // One of them can't be packed: the others must not suffer for it.
      for (const message of messages) sendAlone(message);
    }
  }

  function send(messages: readonly Message[]): void {
    // pack() returns a view of a pooled buffer: copy before giving it away.
    const frame = new Uint8Array(packr.pack(messages));
    port.postMessage(frame, [frame.buffer]);
  }

  function sendAlone(message: Message): void {
    try {
      send([message]);
    } catch (error) {
      const [kind, seq] = message;
      if (kind === "answer") return send([["answer", seq, internalFailure(error)]]);
      calls.get(seq)?.(internalFailure(error));
      calls.delete(seq);
    }
  }

  function post(message: Message): void {
    if (outgoing.push(message) === 1) setImmediate(flush);
  }

  async function serve(seq: number, ask: unknown): Promise<void> {
    post(["answer", seq, await answer(ask).catch(internalFailure)]);
  }

  function settleAll(): void {
    closed = true;
    const waiting = [...calls.values()];
    calls.clear();
    for (const settle of waiting) settle(lost);
  }

  port.on("message", (frame) => {
    for (const [kind, seq, body] of packr.unpack(frame) as Message[]) {
      if (kind === "ask") void serve(seq, body);
      else if (kind === "tell") onTold(body);
      else {
        calls.get(seq)?.(body as Outcome<never>);
        calls.delete(seq);
      }
    }
  });
  port.on("close", settleAll);

  return {
    call: <T>(ask: unknown) =>
      new Promise<Outcome<T>>((resolve) => {
        if (closed) return resolve(lost);
        calls.set(++lastSeq, resolve);
        post(["ask", lastSeq, ask]);
      }),
    tell: (news) => {
      if (!closed) post(["tell", 0, news]);
    },
    get pending() {
      return calls.size;
    },
    close: () => {
      settleAll();
      port.close();
    },
  };
}
