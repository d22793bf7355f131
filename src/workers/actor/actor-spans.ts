import type { Operation } from "../../protocol/storage/operations.js";
import { type ClockOrigin, createSpans, type SpanRecord } from "../../protocol/tracing/span.js";
import { createSpanBatches } from "./span-batches.js";
import { createWorkSpans, type WorkSpans } from "./work-spans.js";

/** The spans of an actor. Its code is loaded only where operations are traced. */
export interface ActorSpans {
  /** Begins the spans of an operation. Undefined: it is not traced. */
  begin(operation: Operation | undefined, startedAt: number): WorkSpans | undefined;
  /** Sends what has ended. */
  flush(): void;
}

export function createActorSpans(
  clock: ClockOrigin,
  send: (spans: readonly SpanRecord[]) => void,
): ActorSpans {
  const { add, flush } = createSpanBatches(send);
  const spans = createSpans(clock, add);
  return {
    begin: (operation, startedAt) =>
      operation?.trace === undefined
        ? undefined
        : createWorkSpans(spans, operation, operation.trace, startedAt),
    flush,
  };
}
