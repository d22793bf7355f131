import type { HttpRequest, WholeReply } from "../../protocol/http/transport.js";
import { type Failure, fail } from "../../protocol/storage/failures.js";
import type {
  BulkEnd,
  BulkEvent,
  BulkOrder,
  BulkProgress,
  BulkRequest,
  BulkSettings,
} from "../../protocol/threads/bulk-contract.js";

/** The reply to a request that came to the port for bulk downloads. */
export interface BulkReply extends WholeReply {
  /**
   * Writes the head of a stream, and gives the connection to a command. Instead of `send`, and at
   * most once; only when the listener was told that nothing has begun may `send` follow.
   */
  handOver(stream: BulkStream, listener: BulkSendListener): BulkSendHandle;
}

/** A stream, and how it is sent. */
export type BulkStream = Pick<Extract<BulkOrder, { kind: "hand" }>, "command" | "headers" | "bytesPerSecond">;

export interface BulkSendHandle {
  /** As `report` of StreamingHandle knows it. */
  readonly id: number;
  /** Kills the command and resets the connection. `onEnd` is still called. */
  cancel(): void;
}

export interface BulkSendListener {
  /** The head is written, and the command runs. */
  onBegun(): void;
  onProgress(progress: BulkProgress): void;
  /** The command has ended well, and its client has yet to take the rest. `bytes`: of the stream, if that is known. */
  onWritten(bytes: number | undefined): void;
  /** Called once. `written`: bytes, as far as the kernel has told. */
  onEnd(end: BulkEnd, hasBegun: boolean, written: number | undefined): void;
}

/** What is done with requests to the port for bulk downloads. */
export interface BulkOpened {
  handle(request: HttpRequest, reply: BulkReply): void;
  /** Called for each connection that is refused because of `limits.connections`. */
  onRefused(): void;
}

/** The port for bulk downloads, as main has it. */
export interface BulkDoor {
  /** Resolves with the port once the worker listens, or with the error of its first try. */
  readonly listening: Promise<
    { readonly port: number } | { readonly code: string; readonly message: string }
  >;
  /** Has `handle` answer the requests from now on. Those that came before wait for it. */
  open(opened: BulkOpened): void;
  /** Refuses new connections. */
  stopAccepting(): void;
}

/** The part of the streaming worker's handle that has to do with bulk downloads. */
export interface BulkHandle {
  readonly door: BulkDoor;
  /** For a new thread: it listens on the port that the first one had. */
  settings(): BulkSettings;
  onEvent(event: BulkEvent): void;
  /** The thread has ended, and with it all connections. To be called before the next one is started. */
  onThreadEnded(): void;
  /** The ids of the running sends. */
  readonly ids: readonly number[];
}

interface BulkHandleOptions {
  readonly settings: Omit<BulkSettings, "firstRequest">;
  order(order: BulkOrder | { readonly kind: "cancel"; readonly id: number }): void;
  /** Unique across all that the worker does. */
  newId(): number;
  /** Told of a new thread that can't listen. */
  onDeaf(problem: string): void;
}

const threadEnded: Failure = fail(
  "service.interrupted",
  "the streaming thread ended before the transfer did; ask again",
).failure;

/** A request that main has not answered. */
interface Asked {
  isDisconnected: boolean;
  readonly onDisconnect: (() => void)[];
  readonly onEnd: (() => void)[];
}

export function createBulkHandle({ settings, order, newId, onDeaf }: BulkHandleOptions): BulkHandle {
  const asked = new Map<number, Asked>();
  const sends = new Map<number, BulkSendListener>();
  /** Requests that came before the door was opened. */
  const early: Extract<BulkEvent, { kind: "asked" }>[] = [];
  let opened: BulkOpened | undefined;
  /** Of the first thread; 0 before it listens. */
  let port = settings.port;
  /** Once true, a thread that can't listen is news: before that, the start fails. */
  let hasListened = false;
  let lastRequest = 0;
  let resolveListening: (first: Awaited<BulkDoor["listening"]>) => void = () => {};
  const listening = new Promise<Awaited<BulkDoor["listening"]>>((resolve) => {
    resolveListening = resolve;
  });

  function answer(event: Extract<BulkEvent, { kind: "asked" }>): void {
    if (!opened) return void early.push(event);
    const { request, asked: sent } = event;
    const state = asked.get(request);
    if (state) opened.handle(requestOf(sent), replyOf(request, sent, state));
  }

  function settle(request: number): void {
    const state = asked.get(request);
    if (!state) return;
    asked.delete(request);
    for (const listener of state.onEnd) listener();
  }

  function leave(request: number): void {
    const state = asked.get(request);
    if (!state) return;
    state.isDisconnected = true;
    for (const listener of state.onDisconnect) listener();
    settle(request);
  }

  function replyOf(request: number, { requestId, peer }: BulkRequest, state: Asked): BulkReply {
    return {
      requestId,
      peer,
      get isDisconnected() {
        return state.isDisconnected;
      },
      onDisconnect: (listener) => void state.onDisconnect.push(listener),
      onEnd: (listener) => {
        if (asked.has(request)) state.onEnd.push(listener);
        else listener();
      },
      send: (status, headers, body) => {
        if (!asked.has(request)) return;
        order({ kind: "answer", request, status, headers, body: textOf(body) });
        settle(request);
      },
      handOver: (stream, listener) => {
        const id = newId();
        if (!asked.has(request)) {
          // Deferred: the caller does not have its handle yet.
          queueMicrotask(() => listener.onEnd({ kind: "gone" }, false, undefined));
          return { id, cancel: () => {} };
        }
        sends.set(id, {
          ...listener,
          onBegun: () => {
            // From now on the send is told of its client.
            settle(request);
            listener.onBegun();
          },
        });
        order({ kind: "hand", request, id, ...stream });
        return { id, cancel: () => order({ kind: "cancel", id }) };
      },
    };
  }

  return {
    door: {
      listening,
      open: (options) => {
        opened = options;
        for (const event of early.splice(0)) answer(event);
      },
      stopAccepting: () => order({ kind: "close-bulk" }),
    },
    settings: () => ({ ...settings, port, firstRequest: lastRequest }),
    get ids() {
      return [...sends.keys()];
    },
    onEvent: (event) => {
      switch (event.kind) {
        case "listening":
          hasListened = true;
          port = event.port;
          return resolveListening({ port });
        case "not-listening":
          if (hasListened) onDeaf(event.message);
          return resolveListening(event);
        case "asked":
          lastRequest = event.request;
          asked.set(event.request, { isDisconnected: false, onDisconnect: [], onEnd: [] });
          return answer(event);
        case "left":
          return leave(event.request);
        case "refused":
          return opened?.onRefused();
        case "begun":
          return sends.get(event.id)?.onBegun();
        case "progress":
          return sends.get(event.id)?.onProgress(event.progress);
        case "written":
          return sends.get(event.id)?.onWritten(event.bytes);
        case "bulk-ended": {
          const listener = sends.get(event.id);
          sends.delete(event.id);
          return listener?.onEnd(event.end, event.hasBegun, event.written);
        }
      }
    },
    onThreadEnded: () => {
      // An order for one of these must not reach the next thread.
      for (const request of [...asked.keys()]) leave(request);
      const broken = [...sends.values()];
      sends.clear();
      const end: BulkEnd = { kind: "failed", failure: threadEnded };
      for (const listener of broken) listener.onEnd(end, true, undefined);
    },
  };
}

function requestOf({ headers, method, path, query, body, tooLarge }: BulkRequest): HttpRequest {
  return { method, path, query, body, tooLarge, header: (name) => headers[name] ?? "" };
}

/** Replies on this port are few and short: no one has a body of bytes. */
function textOf(body: string | Uint8Array | readonly Uint8Array[]): string {
  if (typeof body === "string") return body;
  return Buffer.concat(body instanceof Uint8Array ? [body] : body).toString("utf8");
}
