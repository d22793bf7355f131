import { fileURLToPath } from "node:url";
import * as comlink from "comlink";
import { failed, type Outcome, succeed } from "../protocol/storage/failures.js";
import type { ImageChange } from "../protocol/storage/known-images.js";
import type { Operation } from "../protocol/storage/operations.js";
import type { OutsideNotice } from "../protocol/storage/outside-change.js";
import type {
  ActorControl,
  ActorSettings,
  ActorTask,
  CallerLeft,
  FetchMoved,
  LateReport,
  LogLine,
  SpanReport,
  SpawnReport,
} from "../protocol/threads/actor-contract.js";
import { createActorLog } from "../protocol/threads/actor-log.js";
import { openChangeCounter } from "../protocol/threads/change-counter.js";
import { createChildTable } from "../protocol/threads/child-table.js";
import { comlinkEndpoint } from "../protocol/threads/comlink-endpoint.js";
import { openLink } from "../protocol/threads/link.js";
import { openTrace, traced } from "../protocol/threads/trace-points.js";
import { WORK_LISTED } from "../protocol/threads/work-report.js";
import { createActorMeasuring } from "./actor/actor-measuring.js";
import type { ActorSpans } from "./actor/actor-spans.js";
import { createDatasetLocks } from "./actor/dataset-locks.js";
import { diagnoseActor } from "./actor/diagnose-actor.js";
import { writeLongList } from "./actor/list-text.js";
import { createMailbox } from "./actor/mailbox.js";
import { createMainTransfers } from "./actor/main-transfers.js";
import { measuredLocks } from "./actor/measured-locks.js";
import { type OpenedPool, openPool } from "./actor/open-pool.js";
import { type OutsideWatch, watchOutside } from "./actor/outside-watch.js";
import type { Records } from "./actor/record-file.js";
import { tracedLocks } from "./actor/traced-locks.js";
import { createTransferQueues } from "./actor/transfer-queues.js";
import { createWorkBoard } from "./actor/work-board.js";
import type { Zfs } from "./drivers/driver.js";
import { openEmbeddedZfs } from "./drivers/embedded/embedded-driver.js";
import { openOpenZfs } from "./drivers/openzfs/openzfs-driver.js";
import { followPool } from "./drivers/openzfs/pool-follower.js";
import type { FollowerEvents } from "./drivers/seen-changes.js";
import type { LibraryEnd } from "./libzfs/library-call.js";
import { createCommandBoard, listWithPids } from "./processes/command-board.js";
import { outcomeOf, verbOf } from "./processes/command-words.js";
import type { CommandEnd } from "./processes/run-command.js";
import { type Runner, startRunner } from "./processes/runner-link.js";
import { createKindSlots, limitCalls, limitCommands } from "./processes/slots.js";
import { sqliteVersion } from "./sqlite/open-sqlite.js";

const RUNNER = fileURLToPath(new URL("./runner.js", import.meta.url));

/** Longest period of the checks for late work. It is a quarter of timeouts.lateMs if that is shorter. */
const LONGEST_CHECK_MS = 5_000;

/**
 * A runner may be silent for as long as a command may take, and never for less than this. A runner
 * that is silent keeps no time limit of its commands, so waiting longer helps nobody; and on a
 * machine with so little time that it gives the runner none for this long, commands end no sooner.
 */
const SHORTEST_SILENCE_MS = 15_000;

/** How long the driver may take to give back its pool, which may be suspended. */
const RELEASE_LIMIT_MS = 3_000;

/** How long a crashed actor waits for SQLite to finish its statement. */
const CRASH_CLOSE_MS = 5_000;

/**
 * Runs the actor of one pool, the only writer of that pool. This is the only task of its piscina
 * thread, and ends when main closes `task.hot`.
 */
export default function runPoolActor(task: ActorTask): Promise<void> {
  const { traceClock } = task.settings;
  if (!traceClock) return runActor(task, undefined);
  const send = (spans: SpanReport["spans"]) => task.log.postMessage({ spans } satisfies SpanReport);
  return import("./actor/actor-spans.js").then(({ createActorSpans }) =>
    runActor(task, createActorSpans(traceClock, send)),
  );
}

/** `spans`: undefined unless operations are traced. */
function runActor(task: ActorTask, spans: ActorSpans | undefined): Promise<void> {
  const { settings, hot, control, children } = task;
  const { node } = settings;
  const logsAll = node.log.level === "debug";
  const log = createActorLog((...line: LogLine) => task.log.postMessage(line), logsAll);
  const trace = openTrace(process.env, "actor");
  const commands = createCommandBoard();
  const board = createWorkBoard(
    {
      timeouts: node.timeouts,
      log,
      commands: () => listWithPids(commands, open.runner),
      onLate: (late) => task.log.postMessage({ late } satisfies LateReport),
      spans,
    },
    Math.min(LONGEST_CHECK_MS, Math.ceil(node.timeouts.lateMs / 4)),
  );
  const mailbox = createMailbox(board);
  const locks = measuredLocks(tracedLocks(trace, createDatasetLocks()), (mode, ms) =>
    measuring.onLockWait(mode, ms),
  );
  const link = openLink(
    hot,
    async (ask) => {
      const operation = ask as Operation;
      const run = () => mailbox.run(operation);
      const outcome = await (open.outside ? open.outside.run(operation, run) : run());
      return writeLongList(operation, outcome, node.limits.replyBytes);
    },
    failed.interrupted,
    (notice: CallerLeft | FetchMoved) => {
      if ("moved" in notice) transfers.onMoved(notice);
      else onCallerLeft(notice);
    },
  );
  const transfers = createMainTransfers(() => link);
  const announce = (change: ImageChange) => link.notify(change);
  const { fetches, pulls, copies, turns, onCallerLeft } = createTransferQueues(node, announce);
  /** What `closeFiles` must close. Each member is set once, as soon as it is open. */
  const open: {
    runner?: Runner;
    zfs?: Zfs;
    records?: Records;
    pool?: OpenedPool;
    outside?: OutsideWatch | undefined;
  } = {};
  const slots = {
    read: node.limits.readCommands,
    hold: node.limits.holdCommands,
    change: node.limits.commands,
    destroy: node.limits.destroyCommands,
  };
  const measuring = createActorMeasuring({ commands, fetches, slots });

  function noteCommand(argv: readonly string[], end: Pick<CommandEnd | LibraryEnd, "exit" | "ms">): void {
    measuring.onCommand(argv, end);
    if (!spans) return;
    for (const work of board.tracedBy(argv)) work.command(verbOf(argv), outcomeOf(end), end.ms);
  }

  function reportCommand({ argv, exit, ms, stderr, spawnMs }: CommandEnd): void {
    noteCommand(argv, { exit, ms });
    if (logsAll) {
      log.debug("command", { argv, exit, ms: Math.round(ms), stderr, requestIds: board.requestsOf(argv) });
    }
    if (spawnMs !== undefined) task.log.postMessage({ spawnMs } satisfies SpawnReport);
  }

  function reportCall(argv: readonly string[], { exit, ms }: LibraryEnd): void {
    noteCommand(argv, { exit, ms });
    if (logsAll) log.debug("call", { argv, exit, ms: Math.round(ms), requestIds: board.requestsOf(argv) });
  }

  async function openDriver({ pool }: ActorSettings): Promise<Outcome<Zfs>> {
    if (pool.driver === "embedded") return openEmbeddedZfs(pool, log, openChangeCounter(task.changes), trace);
    const { volumeProperties, timeouts } = node;
    const { commandMs: timeoutMs } = timeouts;
    const silentMs = Math.max(timeoutMs, SHORTEST_SILENCE_MS);
    const callThreads = Object.values(slots).reduce((sum, count) => sum + count, 0);
    open.runner = startRunner({
      script: RUNNER,
      children: createChildTable(children),
      log,
      silentMs,
      callThreads,
    });
    const inSlot = createKindSlots(slots, commands);
    const run = limitCommands(inSlot, open.runner.run, reportCommand);
    const call = limitCalls(inSlot, open.runner.call, reportCall);
    return succeed(openOpenZfs({ settings: pool, volumeProperties, timeoutMs, log, call }, run));
  }

  async function openAll(liveTags: readonly string[]): ReturnType<ActorControl["open"]> {
    const driver = await openDriver(settings);
    if (!driver.ok) return driver;
    const zfs = traced(trace, "driver", driver.value);
    open.zfs = zfs;
    const opened = await openPool({
      settings,
      zfs,
      locks,
      board,
      fetches,
      pulls,
      copies,
      turns,
      log,
      liveTags,
      trace,
      transfers,
      announce,
      onRecords: (records) => {
        open.records = records;
      },
    });
    if (!opened.ok) return opened;
    open.pool = opened.value;
    const { health, version, historyFile, handlersFor } = opened.value;
    open.outside = watchOthers();
    mailbox.open((work) => traced(trace, "operation", handlersFor(work)));
    return succeed({ health, version, historyFile, sqlite: sqliteVersion() });
  }

  function watchOthers(): OutsideWatch | undefined {
    const [{ pool }, { runner }, timeoutMs] = [settings, open, node.timeouts.commandMs];
    if (pool.driver === "embedded" || pool.outsideEvents === "off" || !runner) return undefined;
    const follow = (events: FollowerEvents) =>
      followPool({ settings: pool, timeoutMs, runner, log, ...events });
    return watchOutside(pool.name, follow, (outside) => link.notify({ outside } satisfies OutsideNotice));
  }

  async function closeFiles(): Promise<void> {
    open.outside?.close();
    board.close();
    mailbox.close();
    open.pool?.end();
    // The driver gives the pool back by a command, so the runner ends after it.
    const released = open.zfs?.close();
    const limit = new Promise((resolve) => setTimeout(resolve, RELEASE_LIMIT_MS).unref());
    const ended = Promise.race([released, limit]).then(() => open.runner?.close());
    await Promise.all([open.records?.close(), released, ended]);
    spans?.flush();
  }

  const controls: ActorControl = {
    async open(liveTags) {
      const opened = await openAll(liveTags);
      if (!opened.ok) await closeFiles();
      return opened;
    },
    async stats() {
      // Readiness asks by this: an actor whose runner hangs can run nothing.
      await open.runner?.ping();
      return { commandsRun: open.zfs?.commandsRun ?? 0, notices: (await open.zfs?.notices()) ?? [] };
    },
    measures: () => measuring.report(open.zfs?.counts(), open.runner !== undefined, open.outside?.measures()),
    work: () => board.list(WORK_LISTED, []),
    diagnose: () =>
      diagnoseActor({
        ...{ board, fetches, commands, slots },
        runner: open.runner,
        holds: open.pool?.holds() ?? [],
      }),
    async drain(graceMs) {
      const drained = await mailbox.drain(graceMs);
      // Copies may take hours more; their operations fail now, and the next drain soon ends.
      if (!drained) open.zfs?.cancelCopies();
      return drained;
    },
    close: closeFiles,
    crash() {
      setImmediate(() => {
        throw new Error("a crash that was asked for");
      });
    },
  };
  comlink.expose(controls, comlinkEndpoint(control));

  // A bug outside of any call. If the thread ended during a statement of SQLite, sqlite3 would abort
  // the whole process (docs/decisions/records.md): so close the files first, then end the thread,
  // which fails the pending calls.
  process.once("uncaughtException", (error) => {
    log.error("the actor crashed", { error: error.stack ?? String(error) });
    const timeLimit = new Promise((resolve) => setTimeout(resolve, CRASH_CLOSE_MS));
    // The error may come from a callback of SQLite, and process.exit must not run within that.
    void Promise.race([closeFiles(), timeLimit]).finally(() => setImmediate(() => process.exit(1)));
  });

  return new Promise((resolve) => hot.on("close", resolve)).then(() => {
    control.close();
    task.log.close();
  });
}
