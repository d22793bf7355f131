import type { Operation } from "../../protocol/storage/operations.js";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import { readParentText, type Span, type Spans } from "../../protocol/tracing/span.js";

/** Ends the span of a wait. */
export type EndWait = (failure?: string) => void;

/** The spans of an operation that is in a trace. */
export interface WorkSpans {
  readonly traceId: string;
  /** It waits for `what`, which begins with the name of the call where it is one of the driver or of another part. */
  wait(kind: string, what: string): EndWait;
  /** A command or call that was about its datasets has ended, after `ms`. */
  command(verb: string, outcome: string, ms: number): void;
  /** Ends the operation. A second call does nothing. */
  end(failure?: string): void;
}

/** Calls whose first word is a name of ours. The others are waits for a lock, an image or a URL. */
const CALLS: ReadonlySet<string> = new Set(["driver", "records", "holds", "space", "copy"]);

export function createWorkSpans(
  spans: Spans,
  operation: Operation,
  trace: string,
  startedAt: number,
): WorkSpans {
  const attributes = { "imagestore.datasets": subjectsOf(operation) };
  const whole = spans.begin(
    readParentText(trace),
    `actor ${operation.op}`,
    "internal",
    attributes,
    startedAt,
  );
  /** Calls of the driver that have not answered, the newest last. */
  const inDriver: Span[] = [];

  return {
    traceId: whole.traceId,
    wait: (kind, what) => {
      const name = CALLS.has(kind) ? `${kind} ${what.split(" ", 1)[0]}` : kind;
      const span = whole.child(name, "internal", { "imagestore.waits_for": what });
      if (kind === "driver") inDriver.push(span);
      return (failure) => {
        const at = inDriver.indexOf(span);
        if (at >= 0) inDriver.splice(at, 1);
        span.end(failure);
      };
    },
    command: (verb, outcome, ms) => {
      const parent = inDriver.at(-1) ?? whole;
      // One that began for others before this operation has no longer part in it than the operation is old.
      const startedAt = Math.max(performance.now() - ms, parent.startedAt);
      parent
        .child(verb, "client", { "imagestore.outcome": outcome }, startedAt)
        .end(outcome === "ok" ? undefined : outcome);
    },
    end: whole.end,
  };
}
