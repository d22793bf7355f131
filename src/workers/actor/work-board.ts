import type { Operation } from "../../protocol/storage/operations.js";
import type { NodeSettings } from "../../protocol/storage/pool-settings.js";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { CommandReport, WaitReport, WorkReport } from "../../protocol/threads/work-report.js";
import { stillDeadlineMs } from "../../protocol/threads/work-report.js";
import type { LockWatch } from "./dataset-locks.js";
import { deadlineMs, isReadWork, lockDeadlineMs, type WorkName } from "./work-deadlines.js";

/** A wait that has begun. */
interface Wait {
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

/**
 * Knows all work that an actor does, and finds what does not end. It reports each late piece of
 * work once, again whenever its age has doubled, and when it has ended.
 */
export interface WorkBoard {
  begin(name: WorkName, operation?: Operation): Work;
  end(work: Work): void;
  /** Looks for late work. A timer does this; tests call it. */
  check(): Promise<void>;
  /** The ids of the requests whose work a command may be part of: it names one of their datasets. */
  requestsOf(argv: readonly string[]): readonly string[];
  /** The oldest work, oldest first; all of it without `most`. `running`: the commands, if they are known. */
  list(most?: number, running?: readonly CommandReport[]): Promise<readonly WorkReport[]>;
  /** How much work there is. */
  readonly size: number;
  close(): void;
}

interface BoardOptions {
  readonly timeouts: NodeSettings["timeouts"];
  readonly log: ActorLog;
  /** The commands that run or wait for a slot. */
  commands(): Promise<readonly CommandReport[]>;
  /** Called with all late work at each check that found some, and once when there is none any more. */
  onLate(late: readonly WorkReport[]): void;
}

/** Most waits of one piece of work in a report: a recursive call may have hundreds. */
const WAITS_SHOWN = 8;
const HOLDERS_SHOWN = 8;
/**
 * Thousands of operations may be late together. To find the commands and the lock holders of each
 * would keep the actor from them for seconds, and those that are late longest tell the cause.
 */
const REPORTED_WHOLE = 100;
/** Many requests may share a command. */
const REQUESTS_SHOWN = 8;

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
    const isMoving = MOVING.has(kind);
    const wait: Wait = { kind, what, since, movedAt: isMoving ? since : undefined };
    const running = run(() => {
      if (!this.waits?.has(wait)) return;
      wait.movedAt = performance.now();
      this.restartClock(this.stillLimitMs);
    });
    if (!(running instanceof Promise)) return running;
    this.waits ??= new Set();
    this.waits.add(wait);
    if (isMoving) this.restartClock(this.stillLimitMs);
    if (kind === ENDLESS) this.dueAt = Number.POSITIVE_INFINITY;
    const end = () => {
      this.waits?.delete(wait);
      if (isMoving || kind === ENDLESS) this.restartClock(this.limitMs);
    };
    running.then(end, end);
    return running;
  }

  onLockWait(lock: string): void {
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
    this.restartClock(this.limitMs);
  }

  onUnlock(): void {
    this.lockWait = undefined;
    this.locks = undefined;
  }
}

/** `checkMs`: the period of the board's only timer. */
export function createWorkBoard(options: BoardOptions, checkMs: number): WorkBoard {
  const { timeouts, log, commands, onLate } = options;
  /**
   * The oldest and the newest work, ends of a list that is linked by `before` and `after`. A Set
   * costs as much again as the rest of what a read needs here, mostly for its garbage.
   */
  let oldest: Work | undefined;
  let newest: Work | undefined;
  const all: Iterable<Work> = {
    *[Symbol.iterator]() {
      for (let work = oldest; work; work = work.after) yield work;
    },
  };
  /** Late work that was reported and has not ended. */
  const late = new Set<Work>();
  let lastId = 0;
  const lockLimitMs = lockDeadlineMs(timeouts);
  const stillLimitMs = stillDeadlineMs(timeouts);
  /** Of every read: they are many, so it is computed once. */
  const readLimitMs = deadlineMs("GetSnapshot", timeouts);
  const timer = setInterval(() => void check(), checkMs);
  timer.unref();

  /** The first are reported with their commands and with who has the locks that they wait for. */
  function reportsOf(works: Iterable<Work>, running: readonly CommandReport[]): WorkReport[] {
    const now = performance.now();
    return Array.from(works, (work, index) =>
      index < REPORTED_WHOLE ? reportOf(work, now, all, running) : reportOf(work, now, undefined, []),
    );
  }

  async function check(): Promise<void> {
    const now = performance.now();
    const due: Work[] = [];
    for (const work of all) {
      if (work.dueAt >= now) {
        // It waited long, but has come further: its clock has started again.
        if (!late.delete(work)) continue;
        log.warn("a late operation goes on", { ...reportOf(work, now, all, []) });
        if (late.size === 0) onLate([]);
        continue;
      }
      late.add(work);
      if (work.nextReportAt !== undefined && now < work.nextReportAt) continue;
      work.nextReportAt = now + (now - work.startedAt);
      due.push(work);
    }
    if (late.size === 0) return;
    const running = await commands();
    for (const report of reportsOf(due.slice(0, REPORTED_WHOLE), running))
      log.warn("an operation is late", { ...report });
    const others = due.length - REPORTED_WHOLE;
    if (others > 0) log.warn("more operations are late", { count: others });
    onLate(reportsOf(late, running));
  }

  return {
    begin: (name, operation) => {
      const limitMs = isReadWork(name) ? readLimitMs : deadlineMs(name, timeouts, operation);
      const work = new Work(++lastId, name, operation, limitMs, lockLimitMs, stillLimitMs);
      work.before = newest;
      if (newest) newest.after = work;
      else oldest = work;
      newest = work;
      return work;
    },
    end: (work) => {
      const { before, after } = work;
      if (before) before.after = after;
      else oldest = after;
      if (after) after.before = before;
      else newest = before;
      // Whoever keeps this work keeps none of the others.
      work.before = undefined;
      work.after = undefined;
      if (late.size === 0 || !late.delete(work)) return;
      log.warn("a late operation has ended", { ...reportOf(work, performance.now(), all, []) });
      if (late.size === 0) onLate([]);
    },
    check,
    requestsOf: (argv) => {
      const ids = new Set<string>();
      for (const { operation } of all) {
        if (operation?.requestId === undefined || ids.size === REQUESTS_SHOWN) continue;
        const datasets = subjectsOf(operation);
        if (argv.some((word) => isAbout(word, datasets))) ids.add(operation.requestId);
      }
      return [...ids];
    },
    list: async (most, running) => reportsOf(firstOf(all, most), running ?? (await commands())),
    get size() {
      return firstOf(all).length;
    },
    close: () => clearInterval(timer),
  };
}

function firstOf<T>(items: Iterable<T>, most = Number.POSITIVE_INFINITY): T[] {
  const first: T[] = [];
  for (const item of items) {
    if (first.length >= most) break;
    first.push(item);
  }
  return first;
}

/** `all`: where the holders of a lock are looked for; undefined: they are not. */
function reportOf(
  work: Work,
  now: number,
  all: Iterable<Work> | undefined,
  running: readonly CommandReport[],
): WorkReport {
  const datasets = work.operation ? subjectsOf(work.operation) : [];
  const lateMs = now - work.dueAt;
  const waits = [...(work.lockWait ? [work.lockWait] : []), ...(work.waits ?? [])];
  return {
    id: work.id,
    name: work.name,
    ...(work.operation?.requestId === undefined ? {} : { requestId: work.operation.requestId }),
    datasets,
    ms: Math.round(now - work.startedAt),
    ...(lateMs > 0 ? { lateMs: Math.round(lateMs) } : {}),
    locks: work.locks ?? [],
    waitsFor: waits.slice(0, WAITS_SHOWN).map(({ kind, what, since, movedAt }) => ({
      kind,
      what,
      ms: Math.round(now - since),
      ...(movedAt === undefined ? {} : { stillMs: Math.round(now - movedAt) }),
      ...(kind === "lock" && all ? { heldBy: holdersOf(what, work, all) } : {}),
    })),
    commands: running.filter(({ argv }) => argv.some((word) => isAbout(word, datasets))),
  };
}

/** The ids of the work that has a lock which is of the same name and kind as `wanted`. */
function holdersOf(wanted: string, by: Work, all: Iterable<Work>): number[] {
  const lock = wanted.slice(0, wanted.lastIndexOf(" "));
  const holders: number[] = [];
  for (const work of all) {
    const holds = work !== by && work.locks?.some((held) => held.startsWith(`${lock} `));
    if (holds && holders.length < HOLDERS_SHOWN) holders.push(work.id);
  }
  return holders;
}

/**
 * Whether a word of an argv names one of `datasets`, or something at or below a guest or an image
 * of that id. `zfs destroy` has the snapshots of a dataset in one word, `DATASET@a,b`.
 */
function isAbout(word: string, datasets: readonly string[]): boolean {
  const [dataset = "", tags = ""] = word.split("@");
  return datasets.some((name) => {
    if (!name.includes("/"))
      return dataset.split("/").some((part) => part === name || part === `.partial-${name}`);
    const [ofDataset = "", tag] = name.split("@");
    if (tag === undefined) return dataset === ofDataset;
    return dataset === ofDataset && (tags === "" || tags.split(",").includes(tag));
  });
}
