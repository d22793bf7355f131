import type { SpanRecord } from "../../protocol/tracing/span.js";

/** Gathers spans, so that a message has many. A thread that crashes loses those of the last moment. */
export interface SpanBatches {
  add(span: SpanRecord): void;
  /** Sends what it has. */
  flush(): void;
}

const GATHER_MS = 100;
const MOST = 256;

export function createSpanBatches(send: (spans: readonly SpanRecord[]) => void): SpanBatches {
  let gathered: SpanRecord[] = [];
  /** Runs exactly while something is gathered. */
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (gathered.length === 0) return;
    const spans = gathered;
    gathered = [];
    send(spans);
  }

  return {
    add: (span) => {
      if (gathered.push(span) >= MOST) return flush();
      timer ??= setTimeout(flush, GATHER_MS).unref();
    },
    flush,
  };
}
