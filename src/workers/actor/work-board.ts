import type { Operation } from "../../protocol/storage/operations.js";
import type { NodeSettings } from "../../protocol/storage/pool-settings.js";
import { subjectsOf } from "../../protocol/storage/subjects.js";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { CommandReport, WorkReport } from "../../protocol/threads/work-report.js";
import { stillDeadlineMs } from "../../protocol/threads/work-report.js";
import type { ActorSpans } from "./actor-spans.js";
import { Work } from "./work.js";
import { deadlineMs, isReadWork, lockDeadlineMs, type WorkName } from "./work-deadlines.js";
import { isAbout, reportOf } from "./work-reports.js";
import type { WorkSpans } from "./work-spans.js";

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
  /** The traced work that a command may be part of, by the same rule. */
  tracedBy(argv: readonly string[]): readonly WorkSpans[];
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
  /** Undefined: nothing is traced. */
  readonly spans?: Pick<ActorSpans, "begin"> | undefined;
}

/**
 * Thousands of operations may be late together. To find the commands and the lock holders of each
 * would keep the actor from them for seconds, and those that are late longest tell the cause.
 */
const REPORTED_WHOLE = 100;
/** Many requests may share a command. */
const REQUESTS_SHOWN = 8;

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
      work.spans = options.spans?.begin(operation, work.startedAt);
      work.before = newest;
      if (newest) newest.after = work;
      else oldest = work;
      newest = work;
      return work;
    },
    end: (work) => {
      // Only an exception has left it open.
      work.spans?.end("internal");
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
    tracedBy: (argv) => {
      const found: WorkSpans[] = [];
      for (const { operation, spans } of all)
        if (operation && spans && argv.some((word) => isAbout(word, subjectsOf(operation))))
          found.push(spans);
      return found;
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
