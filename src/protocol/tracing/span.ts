import { randomBytes } from "node:crypto";

/** Whose child a span is. Ids are hex as in `traceparent` (W3C Trace Context). */
export interface SpanParent {
  readonly traceId: string;
  readonly spanId: string;
}

export type SpanAttributes = Readonly<Record<string, string | number | readonly string[]>>;

/** `server`: a request that came. `client`: something that is waited for outside of the daemon. */
export type SpanKind = "server" | "internal" | "client";

/** A span that has ended, as it goes from thread to thread. */
export interface SpanRecord extends SpanParent {
  /** Undefined: it has begun its trace. */
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: SpanKind;
  /** By the clock of Date.now, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: SpanAttributes;
  /** The code of a failure. Undefined: there was none. */
  readonly failure: string | undefined;
}

/** A span that has begun. */
export interface Span extends SpanParent {
  /** By the clock of performance.now of this thread. */
  readonly startedAt: number;
  /** Begins a span below it. `startedAt`: if it has begun before this call. */
  child(name: string, kind: SpanKind, attributes?: SpanAttributes, startedAt?: number): Span;
  /** It as the parent of what another thread does for it: readParentText reads that. */
  parentText(): string;
  /** Ends it. A second call does nothing. */
  end(failure?: string, attributes?: SpanAttributes): void;
}

/** A moment by two clocks: all threads of a process share the second one. */
export interface ClockOrigin {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

/** The moment of the call, for the spans of all threads: their clocks of performance.now begin at other times. */
export function clockOriginNow(): ClockOrigin {
  return { wallMs: Date.now(), monotonicMs: monotonicMs() };
}

const READINGS = 16;

/**
 * What makes a time of this thread's performance.now one of the clock that all threads share. A thread may lose its
 * processor between two readings, so the two that are closest together count.
 */
function monotonicOffsetMs(): number {
  let best = { widthMs: Number.POSITIVE_INFINITY, offsetMs: 0 };
  for (let reading = 0; reading < READINGS; reading++) {
    const before = performance.now();
    const shared = monotonicMs();
    const widthMs = performance.now() - before;
    if (widthMs < best.widthMs) best = { widthMs, offsetMs: shared - before - widthMs / 2 };
  }
  return best.offsetMs;
}

/** Begins spans in one thread. */
export interface Spans {
  /** `parent`: undefined begins a trace. */
  begin(
    parent: SpanParent | undefined,
    name: string,
    kind: SpanKind,
    attributes?: SpanAttributes,
    startedAt?: number,
  ): Span;
}

/** `add` gets each span when it has ended. */
export function createSpans(origin: ClockOrigin, add: (span: SpanRecord) => void): Spans {
  /** What makes a time of performance.now one of Date.now. */
  const offsetMs = origin.wallMs - origin.monotonicMs + monotonicOffsetMs();

  const begin: Spans["begin"] = (parent, name, kind, known = {}, startedAt = performance.now()) => {
    const traceId = parent?.traceId ?? randomBytes(16).toString("hex");
    const spanId = randomBytes(8).toString("hex");
    let hasEnded = false;
    const span: Span = {
      traceId,
      spanId,
      startedAt,
      child: (...of) => begin(span, ...of),
      parentText: () => `${traceId}-${spanId}`,
      end: (failure, more) => {
        if (hasEnded) return;
        hasEnded = true;
        add({
          ...{ traceId, spanId, parentId: parent?.spanId, name, kind, failure },
          startMs: offsetMs + startedAt,
          endMs: offsetMs + performance.now(),
          attributes: { ...known, ...more },
        });
      },
    };
    return span;
  };
  return { begin };
}

/** What `parentText` of a span has written. */
export function readParentText(text: string): SpanParent {
  return { traceId: text.slice(0, 32), spanId: text.slice(33) };
}
