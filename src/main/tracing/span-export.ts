import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { messageOf } from "../../protocol/storage/caught-error.js";
import type { SpanRecord } from "../../protocol/tracing/span.js";

/** Sends spans to a collector, in the order in which they have ended. */
export interface SpanExport {
  /** Never waits. What does not fit is lost, and counted. */
  add(spans: readonly SpanRecord[]): void;
  /** Sends what it has, for up to CLOSE_LIMIT_MS, and counts the rest as lost. Never rejects. */
  close(): Promise<void>;
}

interface ExportOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body of a request that has these spans. */
  body(spans: readonly SpanRecord[]): string;
  readonly log: Pick<Logger, "warn" | "info">;
  /** Called with the number of spans that no collector will get. */
  onLost(count: number): void;
  /** The limits below, for tests. */
  readonly limits?: Partial<typeof LIMITS>;
}

const LIMITS = {
  /** Spans that wait for the collector: some MB. */
  waiting: 8192,
  /** Spans in one request. */
  batch: 512,
  /** How long the first span of a batch waits for others. */
  gatherMs: 1_000,
  /** How long the collector may take for a request. */
  answerMs: 10_000,
  /** The pause after a request that failed. It doubles up to the longest. */
  firstPauseMs: 1_000,
  longestPauseMs: 30_000,
  /** One line of the log at most in so long. */
  warnEveryMs: 60_000,
  closeMs: 2_000,
};

/** By the OTLP specification, a client sends the same again after these. */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** `later`: the collector may take the same spans then. `never`: it refuses them. */
type Answer = { readonly kind: "taken" } | { readonly kind: "later" | "never"; readonly why: string };

export function createSpanExport(options: ExportOptions): SpanExport {
  const { url, headers, log, onLost } = options;
  const limits = { ...LIMITS, ...options.limits };
  /** Oldest first. Those of the request under way are in it until it is answered. */
  let waiting: SpanRecord[] = [];
  /** The loop that sends, while there are spans. */
  let sending: Promise<void> | undefined;
  /** Ends the pauses; set by `close`. */
  const closing = new AbortController();
  /** Ends the request under way too; set when `close` gives up. */
  const givingUp = new AbortController();
  /** When the last warning was written. Undefined: the last request was taken. */
  let warnedAt: number | undefined;

  async function post(spans: readonly SpanRecord[]): Promise<Answer> {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: options.body(spans),
        redirect: "error",
        signal: AbortSignal.any([givingUp.signal, AbortSignal.timeout(limits.answerMs)]),
      });
      await response.body?.cancel();
      if (response.ok) return { kind: "taken" };
      const why = `the status ${response.status}`;
      return { kind: RETRIED.has(response.status) ? "later" : "never", why };
    } catch (error) {
      const { cause } = error instanceof Error ? error : { cause: undefined };
      return { kind: "later", why: messageOf(cause ?? error) };
    }
  }

  function warn(why: string): void {
    const now = performance.now();
    if (warnedAt !== undefined && now - warnedAt < limits.warnEveryMs) return;
    warnedAt = now;
    log.warn({ url, why, waiting: waiting.length }, "the collector takes no spans");
  }

  /** @returns after a pause, or at once when `close` is called. */
  const pause = (ms: number) => sleep(ms, undefined, { signal: closing.signal, ref: false }).catch(() => {});

  async function sendAll(): Promise<void> {
    await pause(limits.gatherMs);
    for (let pauseMs = limits.firstPauseMs; waiting.length > 0 && !givingUp.signal.aborted; ) {
      const batch = waiting.slice(0, limits.batch);
      const answer = await post(batch);
      if (answer.kind === "later") {
        warn(answer.why);
        // The daemon is ending: what one more try would bring is not worth its time.
        if (closing.signal.aborted) return;
        await pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, limits.longestPauseMs);
        continue;
      }
      waiting = waiting.slice(batch.length);
      pauseMs = limits.firstPauseMs;
      if (answer.kind === "never") {
        warn(answer.why);
        onLost(batch.length);
      } else if (warnedAt !== undefined) {
        warnedAt = undefined;
        log.info({ url }, "the collector takes spans again");
      }
      if (waiting.length < limits.batch) await pause(limits.gatherMs);
    }
  }

  function start(): void {
    sending ??= sendAll().finally(() => {
      sending = undefined;
    });
  }

  return {
    add: (spans) => {
      const room = Math.max(limits.waiting - waiting.length, 0);
      if (spans.length > room) onLost(spans.length - room);
      if (room === 0 || closing.signal.aborted) return;
      waiting.push(...spans.slice(0, room));
      start();
    },
    close: async () => {
      closing.abort();
      if (waiting.length > 0) start();
      const limit = sleep(limits.closeMs, undefined, { ref: false });
      await Promise.race([sending, limit]);
      givingUp.abort();
      if (waiting.length > 0) onLost(waiting.length);
      waiting = [];
    },
  };
}
