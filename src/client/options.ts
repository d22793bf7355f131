/** How `connect` reaches a daemon. */
export interface ConnectOptions {
  /** Where it listens, such as `http://127.0.0.1:19999`; what stands behind the host is not used. */
  readonly url: string | URL;
  /** A token of the daemon: docs/access.md. It is sent with every request. */
  readonly token?: string | undefined;
  /** As in CallOptions, for all calls. */
  readonly timeoutMs?: number | undefined;
  /** As in CallOptions, for all calls. */
  readonly retries?: number | undefined;
  /** Sends the requests: by default the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** What one call may be given. */
export interface CallOptions {
  /** Ends the call: its promise rejects with the reason of the signal. A change may happen all the same. */
  readonly signal?: AbortSignal | undefined;
  /**
   * For the whole call, with its repeats, in milliseconds: then it rejects with a `TimeoutError`. None by
   * default, because an image may take hours.
   */
  readonly timeoutMs?: number | undefined;
  /** How often a call that failed may be repeated, where that is safe. 4 by default. */
  readonly retries?: number | undefined;
}

/** The signal of a call; undefined if nothing can end it. */
export function signalOf({ signal, timeoutMs }: CallOptions): AbortSignal | undefined {
  const signals = [
    ...(signal === undefined ? [] : [signal]),
    ...(timeoutMs === undefined ? [] : [AbortSignal.timeout(timeoutMs)]),
  ];
  return signals.length > 1 ? AbortSignal.any(signals) : signals[0];
}
