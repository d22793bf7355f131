import { setTimeout as sleep } from "node:timers/promises";
import { fail, failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { getImage, listImages } from "../../protocol/storage/known-images.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { ActorStats } from "../../protocol/threads/actor-contract.js";
import { createChildMemory } from "../../protocol/threads/child-table.js";
import { endOrphans } from "../threads/orphans.js";
import { type ActorThread, type ActorThreadOptions, startActorThread } from "./actor-thread.js";
import type { ImageMirror } from "./image-mirror.js";
import { withTimeout } from "./time-limit.js";

/** The pause before a crashed actor is restarted; it doubles up to the longest while starts fail. */
const FIRST_RESTART_PAUSE_MS = 50;
const LONGEST_RESTART_PAUSE_MS = 5_000;

export type ActorState = "starting" | "ready" | "restarting" | "stopped";

/** The handle of a pool's actor. It outlives its threads: after a crash it starts another one. */
export interface Actor {
  readonly pool: PoolName;
  readonly state: ActorState;
  /** Operations under way or waiting. */
  readonly pending: number;
  /** How often a thread was started after a crash. */
  readonly restarts: number;
  /** Runs an operation. Always settles: a crash fails it with service.interrupted. */
  call<T>(operation: Operation): Promise<Outcome<T>>;
  /** Answers at once what needs only the image records; undefined: use `call`. */
  read(operation: Operation): Outcome<unknown> | undefined;
  /** As `call`, but a full mailbox doesn't refuse it: for what gives resources back. */
  callAlways<T>(operation: Operation): Promise<Outcome<T>>;
  /** Gets numbers, which also shows that the actor answers. Rejects when it doesn't in time. */
  stats(timeoutMs: number): Promise<ActorStats>;
  /** Waits until no operation is under way; false when some still are after `graceMs`. */
  drain(graceMs: number): Promise<boolean>;
  /** Closes the records and ends the thread; operations still under way are given up. */
  stop(): Promise<void>;
  /** Crashes the thread; resolves when it has ended. The actor restarts by itself. For tests of that. */
  crash(): Promise<void>;
}

export interface ActorOptions extends Omit<ActorThreadOptions, "children"> {
  /** Operations that may be under way; more are refused at once. */
  readonly mailbox: number;
  /** Ends the fetches that other threads still run for a crashed actor, before it restarts. */
  abandonFetches(): Promise<void>;
  /** Tags of holds of downloads that still run. */
  liveTags(): readonly string[];
}

const starting = fail("pool.unavailable", "the pool's actor is starting, try again");

/** Starts an actor. Fails as ActorControl.open does when the pool can't be served. */
export async function startActor(options: ActorOptions): Promise<Outcome<Actor>> {
  const { settings, log } = options;
  const { name: pool } = settings.pool;
  const children = createChildMemory();
  /**
   * starting → ready → restarting → ready …; from each of them to stopped, which is final.
   * `thread` is there exactly in the state ready.
   */
  let state: ActorState = "starting";
  let thread: ActorThread | undefined;
  /** Only grows. */
  let restarts = 0;
  /** The restart under way, or the last one. It ends soon after the state became stopped. */
  let restarting: Promise<void> = Promise.resolve();
  /** A function, because the compiler doesn't know that `state` changes during an await. */
  const isStopped = () => state === "stopped";

  /** Starts a thread that opens the pool; destroys it where that fails. */
  async function open(): Promise<Outcome<{ health: string; version: string }>> {
    const started = startActorThread({ ...options, children });
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
    // Stopped while it opened: it must close its records like any other.
    if (isStopped()) {
      await close(started);
      return failed.stopping;
    }
    thread = started;
    state = "ready";
    void started.ended.then((error) => {
      if (thread === started) restarting = restart(started, error);
    });
    return opened;
  }

  async function close(open: ActorThread): Promise<void> {
    await Promise.race([open.control.close(), open.ended]);
    open.link.close();
    await open.ended;
    await open.destroy();
    await endOrphans(children);
  }

  /** Restarts the actor after its thread has ended, until it works or is stopped. */
  async function restart(ended: ActorThread, error: unknown): Promise<void> {
    thread = undefined;
    state = "restarting";
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
    read: (operation) => thread && readRecords(thread.mirror, operation),
    call: <T>(operation: Operation) => {
      if (!thread) return Promise.resolve(isStopped() ? failed.stopping : starting);
      if (thread.link.pending >= options.mailbox) return Promise.resolve(failed.overloaded);
      return thread.link.call<T>(operation);
    },
    callAlways: (operation) => thread?.link.call(operation) ?? Promise.resolve(starting),
    stats: async (timeoutMs) => {
      if (!thread) throw new Error(`the actor is ${state}`);
      return withTimeout(thread.control.stats(), timeoutMs);
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

  const opened = await open();
  if (!opened.ok) return opened;
  log.info({ pool, ...opened.value }, "the pool is open");
  return succeed(actor);
}

/** Answers what needs only the image records; undefined for anything else. */
function readRecords({ known }: ImageMirror, operation: Operation): Outcome<unknown> | undefined {
  if (!known) return undefined;
  if (operation.op === "GetImage") return getImage(known, operation.id);
  if (operation.op === "ListImages") return succeed(listImages(known, operation.type));
  return undefined;
}
