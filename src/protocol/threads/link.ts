import { Packr } from "msgpackr";
import { type FailedOutcome, internalFailure, type Outcome } from "../storage/failures.js";

/** What a link needs of a node:worker_threads MessagePort. */
export interface FramePort {
  postMessage(value: unknown, transfer: readonly ArrayBuffer[]): void;
  on(event: "message", listener: (value: Uint8Array) => void): unknown;
  on(event: "close", listener: () => void): unknown;
  close(): void;
}

/** One end of a link between two threads. Both ends can call and notify. */
export interface Link {
  /** Calls the other side. Never rejects and never hangs: losing the link settles every call. */
  call<T>(request: unknown): Promise<Outcome<T>>;
  /** Sends a message that has no answer. It arrives in order with calls and answers. */
  notify(notification: unknown): void;
  /** Calls from this side that have no answer yet. */
  readonly pending: number;
  /** Settles every pending call with `lost` and closes the port. */
  close(): void;
}

type Message<Answer, Notification> =
  | readonly ["call", number, unknown]
  | readonly ["answer", number, Answer]
  | readonly ["notify", number, Notification];

type Outgoing = Message<Outcome<unknown>, unknown>;

/** An answer as it arrives; a notification is `never`. It fits whatever the call expects: both ends are ours, so nothing checks it. */
type Received = Outcome<never>;

/**
 * Opens this thread's end of a link. All messages of one turn of the event loop travel in one
 * msgpackr frame (docs/decisions/threads.md). `answer` serves the other side's calls. When the
 * port closes, every pending call settles with `lost`.
 */
export function openLink<Notification = unknown>(
  port: FramePort,
  answer: (request: unknown) => Promise<Outcome<unknown>>,
  lost: FailedOutcome,
  onNotification: (notification: Notification) => void = () => {},
): Link {
  // Each end needs its own packer: msgpackr breaks when threads share its structures.
  const packr = new Packr();
  const calls = new Map<number, (outcome: Received) => void>();
  /** The number of the newest call; a call's number is never used again. */
  let lastSeq = 0;
  /** What the next frame will carry. A flush is scheduled exactly while this is not empty. */
  let outgoing: Outgoing[] = [];
  /** Once true it stays so: `calls` is empty and nothing is sent any more. */
  let closed = false;

  function flush(): void {
    const messages = outgoing;
    outgoing = [];
    if (closed) return;
    try {
      send(messages);
    } catch {
      // One message can't be packed. The others of the frame must not suffer for it.
      for (const message of messages) sendAlone(message);
    }
  }

  function send(messages: readonly Outgoing[]): void {
    // pack() returns a view of a pooled buffer, which must not be transferred: copy it.
    const frame = new Uint8Array(packr.pack(messages));
    port.postMessage(frame, [frame.buffer]);
  }

  function sendAlone(message: Outgoing): void {
    try {
      send([message]);
    } catch (error) {
      const [kind, seq] = message;
      if (kind === "answer") return send([["answer", seq, internalFailure(error)]]);
      settle(seq, internalFailure(error));
    }
  }

  function post(message: Outgoing): void {
    if (outgoing.push(message) === 1) setImmediate(flush);
  }

  async function serve(seq: number, request: unknown): Promise<void> {
    post(["answer", seq, await answer(request).catch(internalFailure)]);
  }

  function settle(seq: number, outcome: Received): void {
    calls.get(seq)?.(outcome);
    calls.delete(seq);
  }

  function settleAll(): void {
    closed = true;
    const pending = [...calls.values()];
    calls.clear();
    for (const resolve of pending) resolve(lost);
  }

  port.on("message", (frame) => {
    const messages: readonly Message<Received, never>[] = packr.unpack(frame);
    for (const [kind, seq, body] of messages) {
      if (kind === "call") void serve(seq, body);
      else if (kind === "notify") onNotification(body);
      else settle(seq, body);
    }
  });
  port.on("close", settleAll);

  return {
    call: <T>(request: unknown) =>
      new Promise<Outcome<T>>((resolve) => {
        if (closed) return resolve(lost);
        calls.set(++lastSeq, resolve);
        post(["call", lastSeq, request]);
      }),
    notify: (notification) => {
      if (!closed) post(["notify", 0, notification]);
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
