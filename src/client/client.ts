import { type Call, EFFECTS, type Methods, methodsOf } from "./api-methods.js";
import { openDownload } from "./checked-download.js";
import { CallError, NoAnswerError, type WireError } from "./client-errors.js";
import { type DaemonEvent, type EventsOptions, eventsOf } from "./daemon-events.js";
import { createDaemonFetch, refusalOf, retryAfterOf } from "./daemon-fetch.js";
import { type DownloadTerms, queryOf } from "./download-terms.js";
import { type CallOptions, type ConnectOptions, signalOf } from "./options.js";
import { type Repeat, withRepeats } from "./retries.js";
import { encodeWire, parseWire } from "./wire-json.js";

export type { Methods } from "./api-methods.js";
export type * from "./api-params.js";
export type * from "./api-records.js";
export { CallError, DownloadError, NoAnswerError } from "./client-errors.js";
export type { DaemonEvent, EventsBegin, EventsOptions, EventTopic } from "./daemon-events.js";
export type { CallOptions, ConnectOptions } from "./options.js";

const DEFAULT_RETRIES = 4;

interface Reply<T> {
  readonly id?: unknown;
  readonly result?: T;
  readonly error?: WireError;
}

/** A call of a batch: its method and its parameters. */
export type BatchCall = {
  readonly [M in keyof Methods]: readonly [method: M, params: Methods[M]["params"]];
}[keyof Methods];

/** What the calls of a batch have answered, in their order. */
export type BatchAnswers<C extends readonly BatchCall[]> = {
  readonly [I in keyof C]: Methods[C[I][0]]["result"] | CallError;
};

/** A daemon, as a function for each of its methods. */
export interface Client extends ReturnType<typeof methodsOf> {
  /** Calls a method by its name. Rejects with CallError, NoAnswerError, or the reason of a signal. */
  readonly call: Call;
  /**
   * Sends several calls as one request, which run at the same time. A call that fails is a CallError in
   * the answer. Nothing of it is repeated.
   */
  batch<const C extends readonly BatchCall[]>(calls: C, options?: CallOptions): Promise<BatchAnswers<C>>;
  /**
   * Downloads a snapshot as a stream of `zfs send`. The stream ends only if it is whole, else it fails with
   * a DownloadError. `timeoutMs` is for the whole stream.
   */
  download(id: string, options?: CallOptions & DownloadTerms): Promise<ReadableStream<Uint8Array>>;
  /**
   * What happens, for a loop of `for await`. Connects again where the connection breaks, and goes on from
   * the last event. Throws a NoAnswerError where the daemon refuses, and the reason of the signal.
   */
  events(options?: EventsOptions): AsyncGenerator<DaemonEvent, void>;
}

function repeatOf(method: keyof Methods, params: object): Repeat {
  // The daemon knows a repeat by its key, and answers what the first call did.
  const hasKey = "idempotencyKey" in params && params.idempotencyKey !== undefined;
  return hasKey ? "repeatable" : EFFECTS[method];
}

/** A client of the daemon at a URL. It keeps no connection of its own, and needs no end. */
export function connect(options: ConnectOptions): Client {
  const ask = createDaemonFetch(options);
  const withDefaults = (given: CallOptions): CallOptions => ({
    signal: given.signal,
    timeoutMs: given.timeoutMs ?? options.timeoutMs,
    retries: given.retries ?? options.retries,
  });

  /** Posts a body, and reads the answer, of which `T` is the promise of the daemon. */
  async function post<T>(body: string, signal: AbortSignal | undefined) {
    const headers = { "Content-Type": "application/json" };
    const response = await ask("/rpc", { method: "POST", headers, body, signal: signal ?? null });
    if (response.status !== 200) throw await refusalOf(response);
    const text = await response.text().catch((error: unknown) => {
      signal?.throwIfAborted();
      throw new NoAnswerError("the answer was cut short", { cause: error });
    });
    return { answer: parseWire<T>(text), retryAfter: retryAfterOf(response) };
  }

  const call: Call = <M extends keyof Methods>(
    method: M,
    params: Methods[M]["params"],
    given: CallOptions = {},
  ) => {
    type Result = Methods[M]["result"];
    const all = withDefaults(given);
    const signal = signalOf(all);
    const body = encodeWire({ jsonrpc: "2.0", method, params, id: 1 });
    const attempt = async (): Promise<Result> => {
      const { answer, retryAfter } = await post<Reply<Result>>(body, signal);
      const { result, error } = answer;
      if (error) throw new CallError(method, error, error.data.retryAfter ?? retryAfter);
      if (result === undefined) throw new NoAnswerError("the answer is none of JSON-RPC", { status: 200 });
      return result;
    };
    return withRepeats(attempt, repeatOf(method, params), all.retries ?? DEFAULT_RETRIES, signal);
  };

  // One answer for each call, in their order: what the compiler can't know of a map.
  async function batch<const C extends readonly BatchCall[]>(
    calls: C,
    given?: CallOptions,
  ): Promise<BatchAnswers<C>>;
  async function batch(calls: readonly BatchCall[], given: CallOptions = {}): Promise<readonly unknown[]> {
    const requests = calls.map(([method, params], id) => ({ jsonrpc: "2.0", method, params, id }));
    const body = encodeWire(requests);
    const { answer } = await post<Reply<unknown> | Reply<unknown>[]>(body, signalOf(withDefaults(given)));
    const replies = new Map([answer].flat().map((reply) => [reply.id, reply]));
    return calls.map(([method], id) => {
      // A batch that is refused as a whole is answered by one error without an id.
      const { result, error } = replies.get(id) ?? replies.get(null) ?? {};
      return error ? new CallError(method, error) : result;
    });
  }

  return {
    ...methodsOf(call),
    call,
    batch,
    events: (given = {}) => eventsOf(ask, given),
    download: (id, given = {}) => {
      const all = withDefaults(given);
      const signal = signalOf(all);
      const query = { id, ...queryOf(given) };
      const open = () => openDownload(ask, query, signal);
      return withRepeats(open, "read", all.retries ?? DEFAULT_RETRIES, signal);
    },
  };
}
