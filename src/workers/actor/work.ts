import type { Operation } from "../../protocol/storage/operations.js";
import type { WaitReport } from "../../protocol/threads/work-report.js";
import type { LockWatch } from "./dataset-locks.js";
import type { WorkName } from "./work-deadlines.js";
import type { EndWait, WorkSpans } from "./work-spans.js";

/** A wait that has begun. */
export interface Wait {
  readonly kind: WaitReport["kind"];
  readonly what: string;
  readonly since: number;
  /** When bytes have last moved. Undefined where none are waited for. */
  movedAt: number | undefined;
}

/** Waits for other work, which is watched itself. */
const ENDLESS: WaitReport["kind"] = "queue";
/** Waits that may last for hours, as long as bytes move. */
const MOVING: ReadonlySet<WaitReport["kind"]> = new Set(["stream", "copy"]);

/** An operation that runs, or work that the actor does by itself. Cheap to make: every read has one. */
export class Work implements LockWatch {
  readonly startedAt = performance.now();
  /** When it becomes late. Infinity while it waits for other work. */
  dueAt: number;
  /** What it waits for, but for a lock; undefined until the first wait. */
  waits: Set<Wait> | undefined;
  lockWait: Wait | undefined;
  /** The locks that it has; undefined without any. */
  locks: string[] | undefined;
  /** Where it is traced. */
  spans: WorkSpans | undefined;
  /** Ends the span of its wait for locks; undefined while it waits for none. */
  private endLockWait: EndWait | undefined;
  /** When it is reported again; undefined until its first report. */
  nextReportAt: number | undefined;
  /** Its neighbours on the board. */
  before: Work | undefined;
  after: Work | undefined;

  constructor(
    readonly id: number,
    readonly name: WorkName,
    /** What it is about. Undefined for the work of a start. */
    readonly operation: Operation | undefined,
    private readonly limitMs: number,
    private readonly lockLimitMs: number,
    /** How long bytes that it waits for may not move. */
    private readonly stillLimitMs: number,
  ) {
    this.dueAt = this.startedAt + limitMs;
  }

  private restartClock(limitMs: number): void {
    this.dueAt = performance.now() + limitMs;
  }

  /**
   * Notes that it waits for `what` until the promise that `run` returns has settled. `run` calls
   * `moved` when bytes that it waits for have moved: that starts the clock again.
   */
  during<T>(kind: WaitReport["kind"], what: string, run: (moved: () => void) => T): T {
    const since = performance.now();
    const endSpan = this.spans?.wait(kind, what);
    const isMoving = MOVING.has(kind);
    const wait: Wait = { kind, what, since, movedAt: isMoving ? since : undefined };
    const running = run(() => {
      if (!this.waits?.has(wait)) return;
      wait.movedAt = performance.now();
      this.restartClock(this.stillLimitMs);
    });
    if (!(running instanceof Promise)) {
      endSpan?.();
      return running;
    }
    this.waits ??= new Set();
    this.waits.add(wait);
    if (isMoving) this.restartClock(this.stillLimitMs);
    if (kind === ENDLESS) this.dueAt = Number.POSITIVE_INFINITY;
    const end = () => {
      this.waits?.delete(wait);
      if (isMoving || kind === ENDLESS) this.restartClock(this.limitMs);
    };
    running.then(end, end);
    if (endSpan)
      running.then(
        (outcome: unknown) => endSpan(failureCodeOf(outcome)),
        () => endSpan("internal"),
      );
    return running;
  }

  onLockWait(lock: string): void {
    this.endLockWait ??= this.spans?.wait("lock", lock);
    this.lockWait = { kind: "lock", what: lock, since: performance.now(), movedAt: undefined };
    this.restartClock(this.lockLimitMs);
  }

  onLock(): void {
    if (this.lockWait) {
      this.locks ??= [];
      this.locks.push(this.lockWait.what);
    }
    this.lockWait = undefined;
  }

  onAllLocks(): void {
    this.endLockSpan();
    this.restartClock(this.limitMs);
  }

  onUnlock(): void {
    this.endLockSpan();
    this.lockWait = undefined;
    this.locks = undefined;
  }

  private endLockSpan(): void {
    this.endLockWait?.();
    this.endLockWait = undefined;
  }
}

/** The code of the failure that an outcome is; undefined for all other values. */
function failureCodeOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("failure" in value)) return undefined;
  const { failure } = value;
  if (typeof failure !== "object" || failure === null || !("code" in failure)) return undefined;
  return String(failure.code);
}
