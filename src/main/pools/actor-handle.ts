import { setTimeout as sleep } from "node:timers/promises";
import { fail, failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { getImage } from "../../protocol/storage/known-images.js";
import type { PoolName } from "../../protocol/storage/names.js";
import { flightOf, isRead } from "../../protocol/storage/operation-kinds.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { ActorStats, CallerLeft, OpenedActor } from "../../protocol/threads/actor-contract.js";
import type { ActorDiagnosis } from "../../protocol/threads/actor-diagnosis.js";
import type { ActorMeasures } from "../../protocol/threads/actor-measures.js";
import { createChildMemory } from "../../protocol/threads/child-table.js";
import { turnFor } from "../../protocol/threads/transfer-turns.js";
import type { WorkReport } from "../../protocol/threads/work-report.js";
import type { Span } from "../../protocol/tracing/span.js";
import { endOrphans } from "../threads/orphans.js";
import { type ActorThread, type ActorThreadOptions, startActorThread } from "./actor-thread.js";
import type { ImageMirror } from "./image-mirror.js";
import { createLateHistory, type LateNote } from "./late-history.js";
import { createSharedReads, mailboxFull } from "./shared-reads.js";
import { withTimeout } from "./time-limit.js";

/** The pause before a crashed actor is restarted. While starts fail, it doubles up to the longest. */
const FIRST_RESTART_PAUSE_MS = 50;
const LONGEST_RESTART_PAUSE_MS = 5_000;

/** Whom an operation is for. */
export interface Client {
  readonly requestId: string;
  /** Its address; "" if it is asked for the first time when the client has gone. */
  readonly peer: string;
  /** What its operation is below in a trace; undefined unless it is traced. */
  readonly span?: Span | undefined;
  /** `listener` is called once the client has gone before it had its answer. */
  onDisconnect(listener: () => void): void;
  /** `listener` is called if it does not want the answer any more. Called where an operation can be cancelled. */
  onCancel?(listener: () => void): void;
}

export type ActorState = "starting" | "ready" | "restarting" | "stopped";

/** The handle of a pool's actor. It outlives the actor's thread: after a crash it starts a new one. */
export interface Actor {
  readonly pool: PoolName;
  readonly state: ActorState;
  /** Operations without an answer yet. */
  readonly pending: number;
  /** How often the thread has ended unexpectedly, so that a new one had to start. */
  readonly restarts: number;
  /** Work that is past its deadline, as the thread has last reported it. */
  readonly late: readonly WorkReport[];
  /** Work that was late since the daemon's start, as last reported, the newest last: a few pieces. */
  readonly recentlyLate: readonly LateNote[];
  /** What its newest thread has opened; undefined before the first. */
  readonly opened: OpenedActor | undefined;
  /**
   * Runs an operation. Never rejects and always settles. Lists and GetPool that wait at the same
   * moment share a run. Fails: service.overloaded if the mailbox is
   * full, service.interrupted if the thread crashes, pool.unavailable during a restart,
   * service.stopping after `stop`. A RequestImage that waits for its turn ends when `client` goes.
   */
  call<T>(operation: Operation, client?: Client): Promise<Outcome<T>>;
  /**
   * Answers GetImage and ListImages from the copy in main, GetSnapshot and GetVolume from what is
   * kept there. Undefined where it can't, and for other operations: use `call`.
   */
  read(operation: Operation): Outcome<unknown> | undefined;
  /** As `call`, but it also runs if the mailbox is full: for operations that release something. */
  callAlways<T>(operation: Operation): Promise<Outcome<T>>;
  /** Rejects if the actor doesn't answer in time: so this also checks that it works. */
  stats(timeoutMs: number): Promise<ActorStats>;
  /** For a scrape. Rejects if the thread doesn't answer in time, or if there is none. */
  measures(timeoutMs: number): Promise<ActorMeasures>;
  /** The oldest work of the thread, for those who look again and again. Rejects as `measures` does. */
  work(timeoutMs: number): Promise<readonly WorkReport[]>;
  /** How many images the actor has announced, complete and not; undefined until it has. */
  readonly imageCounts: { readonly complete: number; readonly pending: number } | undefined;
  /**
   * What the thread does and waits for, also while it opens the pool, and while its runner is silent.
   * Rejects if the thread itself doesn't answer in time, or if there is none.
   */
  diagnose(timeoutMs: number): Promise<ActorDiagnosis>;
  /** Resolves with true once no operation runs, or with false after `graceMs`. */
  drain(graceMs: number): Promise<boolean>;
  /** Closes the records and ends the thread. Pending operations fail with service.interrupted. */
  stop(): Promise<void>;
  /** Crashes the thread and resolves when it has ended. The actor then restarts. For tests of recovery. */
  crash(): Promise<void>;
}

export interface ActorOptions extends Omit<ActorThreadOptions, "children"> {
  /** How many operations may be pending. More fail at once. */
  readonly mailbox: number;
  /** Cancels the image fetches of a crashed actor, which run in the streaming worker. */
  abandonFetches(): Promise<void>;
  /** The tag of the hold of each download that runs. */
  liveTags(): readonly string[];
  /** Called when the actor begins to take calls, and when it doesn't any more since its thread has ended. */
  onReady?(isReady: boolean): void;
  /** Called once with the actor, before its pool is opened. Until then it answers no call. */
  onStarting?(actor: Actor): void;
}

const actorStarting = fail("pool.unavailable", "the pool's actor is starting, try again");

/** Starts an actor and opens its pool. Fails as ActorControl.open does. */
export async function startActor(options: ActorOptions): Promise<Outcome<Actor>> {
  const { settings, log } = options;
  const { name: pool } = settings.pool;
  const children = createChildMemory();
  /** starting → ready, then restarting → ready after each crash. Any of them → stopped, which is final. */
  let state: ActorState = "starting";
  /** The thread that has opened the pool. Defined exactly in the state ready. */
  let thread: ActorThread | undefined;
  /** The thread that was started last, until it has ended: it may still be opening the pool. */
  let newest: ActorThread | undefined;
  let lastOpened: OpenedActor | undefined;
  const lateHistory = createLateHistory();
  /** How often the state became restarting. */
  let restarts = 0;
  /** Of the thread that is or was last open; empty from the end of a thread on. */
  let late: readonly WorkReport[] = [];
  /** The restart that runs, or else the last one. Once the state is stopped, it soon resolves. */
  let restarting: Promise<void> = Promise.resolve();
  /** A function, because the compiler assumes that an await doesn't change `state`. */
  const isStopped = () => state === "stopped";

  const onLate = (reported: typeof late) => {
    late = reported;
    lateHistory.note(reported);
  };

  /** Starts a thread, which opens the pool. Destroys the thread if it can't. */
  async function open(): Promise<Outcome<OpenedActor>> {
    const started = startActorThread({ ...options, children, onLate });
    newest = started;
    void started.ended.then(() => {
      if (newest === started) newest = undefined;
    });
    const opened = await Promise.race([
      started.control.open(options.liveTags()),
      started.ended.then(
        (error): Outcome<never> => fail("internal", "the actor's thread ended", String(error)),
      ),
    ]);
    if (!opened.ok) {
      started.link.close();
      await started.destroy();
      return opened;
    }
    // `stop` has been called during the opening and knew nothing of this thread.
    if (isStopped()) {
      await close(started);
      return failed.stopping;
    }
    const { historyFile } = opened.value;
    if (historyFile) started.keepBy(historyFile);
    thread = started;
    lastOpened = opened.value;
    state = "ready";
    options.onReady?.(true);
    void started.ended.then((error) => {
      if (thread === started) restarting = restart(started, error);
    });
    return opened;
  }

  /** Closes the records of a thread and ends it, with the processes that it leaves. */
  async function close(open: ActorThread): Promise<void> {
    await Promise.race([open.control.close(), open.ended]);
    open.link.close();
    await open.ended;
    await open.destroy();
    await endOrphans(children);
  }

  /**
   * Cleans up after a thread that has ended, then opens the pool with a new one. Retries until it
   * succeeds or `stop` is called.
   */
  async function restart(ended: ActorThread, error: unknown): Promise<void> {
    thread = undefined;
    late = [];
    lateHistory.startThread();
    state = "restarting";
    options.onReady?.(false);
    restarts++;
    log.error({ pool, error: String(error) }, "the actor's thread ended; it is started again");
    await ended.destroy().catch(() => {});
    await options.abandonFetches();
    const left = await endOrphans(children);
    if (left.length > 0) log.error({ pool, pids: left }, "commands of the dead actor won't end");
    for (let pauseMs = FIRST_RESTART_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_RESTART_PAUSE_MS)) {
      await sleep(pauseMs);
      if (isStopped()) return;
      const opened = await open();
      if (opened.ok) {
        log.warn({ pool }, "the actor is up again");
        return;
      }
      if (isStopped()) return;
      log.error({ pool, ...opened.failure }, "the actor can't start");
    }
  }

  const logsAll = settings.node.log.level === "debug";
  /** The number of the newest call that a client may leave. */
  let lastCaller = 0;

  function callOnce<T>(operation: Operation, client?: Client): Promise<Outcome<T>> {
    if (!thread) return Promise.resolve(isStopped() ? failed.stopping : actorStarting);
    if (thread.link.pending >= options.mailbox) return Promise.resolve(mailboxFull(options.mailbox));
    const { link, kept } = thread;
    if (!client) return kept.ask(operation, () => link.call<T>(operation));
    const { requestId, span } = client;
    const traced = span ? { ...operation, requestId, trace: span.parentText() } : undefined;
    // Reads run no command whose log line would be written, unless the log has all.
    if (isRead(operation) && !logsAll) return kept.ask(operation, () => link.call<T>(traced ?? operation));
    const told = traced ?? { ...operation, requestId };
    const caller = ++lastCaller;
    const id = flightOf(operation) ?? turnFor(operation, caller);
    if (id === undefined) return link.call<T>(told);
    client.onDisconnect(() => link.notify({ id, caller } satisfies CallerLeft));
    client.onCancel?.(() => link.notify({ id, caller, cancels: true } satisfies CallerLeft));
    return link.call<T>({ ...told, caller });
  }
  const running = () => {
    if (thread) return thread;
    throw new Error(`the actor is ${state}`);
  };
  const shared = createSharedReads(callOnce, options.mailbox);

  const actor: Actor = {
    pool,
    get state() {
      return state;
    },
    get pending() {
      return thread?.link.pending ?? 0;
    },
    get restarts() {
      return restarts;
    },
    get late() {
      return late;
    },
    get recentlyLate() {
      return lateHistory.list();
    },
    get opened() {
      return lastOpened;
    },
    read: (operation) => thread && (readRecords(thread.mirror, operation) ?? thread.kept.find(operation)),
    call: <T>(operation: Operation, client?: Client) =>
      shared.read<T>(operation) ?? callOnce<T>(operation, client),
    callAlways: (operation) => thread?.link.call(operation) ?? Promise.resolve(actorStarting),
    stats: async (timeoutMs) => withTimeout(running().control.stats(), timeoutMs),
    measures: async (timeoutMs) => withTimeout(running().control.measures(), timeoutMs),
    work: async (timeoutMs) => withTimeout(running().control.work(), timeoutMs),
    get imageCounts() {
      return thread?.mirror.counts;
    },
    diagnose: async (timeoutMs) => {
      if (!newest) throw new Error(`the actor is ${state}, and has no thread`);
      return withTimeout(newest.control.diagnose(), timeoutMs);
    },
    drain: async (graceMs) => {
      if (!thread) return true;
      return Promise.race([thread.control.drain(graceMs), thread.ended.then(() => true)]);
    },
    stop: async () => {
      const open = thread;
      state = "stopped";
      thread = undefined;
      if (open) await close(open);
      await restarting;
    },
    crash: async () => {
      const crashing = thread;
      // The thread may end before it answers.
      void crashing?.control.crash();
      await crashing?.ended;
    },
  };

  options.onStarting?.(actor);
  const opened = await open();
  if (!opened.ok) return opened;
  log.info({ pool, ...opened.value }, "the pool is open");
  return succeed(actor);
}

/** Undefined for operations that need more than the images, and until the copy is complete. */
function readRecords(mirror: ImageMirror, operation: Operation): Outcome<unknown> | undefined {
  if (operation.op === "GetImage") return mirror.known && getImage(mirror.known, operation.id);
  if (operation.op !== "ListImages" || operation.trash) return undefined;
  const list = mirror.list(operation);
  return list && succeed(list);
}
