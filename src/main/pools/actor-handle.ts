import { MessageChannel } from "node:worker_threads";
import * as comlink from "comlink";
import type { Logger } from "pino";
import type { Piscina } from "piscina";
import { fail, failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import {
  createImageMirror,
  getImage,
  type ImageMirror,
  type ImageNews,
  listImages,
} from "../../protocol/storage/known-images.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { FetchOrder, FetchReport, Operation } from "../../protocol/storage/operations.js";
import type {
  ActorControl,
  ActorSettings,
  ActorStats,
  ActorTask,
  FetchRequest,
  LogLine,
  SpawnReport,
} from "../../protocol/threads/actor-contract.js";
import { createChildMemory } from "../../protocol/threads/child-table.js";
import { comlinkEndpoint } from "../../protocol/threads/comlink-endpoint.js";
import { type Link, openLink } from "../../protocol/threads/link.js";
import { endOrphans } from "../threads/orphans.js";
import { createSoloThread } from "../threads/solo-thread.js";

/** A pause before a crashed actor starts again; doubled up to the longest while it keeps failing. */
const FIRST_RESTART_PAUSE_MS = 50;
const LONGEST_RESTART_PAUSE_MS = 5_000;

export type ActorState = "starting" | "ready" | "restarting" | "stopped";

/** The handle of a pool's actor. It survives its thread: a crashed one is started again. */
export interface Actor {
  readonly pool: PoolName;
  readonly state: ActorState;
  /** Operations under way or waiting. */
  readonly pending: number;
  /** Threads started again after a crash. */
  readonly restarts: number;
  /** Runs an operation. Never hangs: a crash settles it with service.interrupted. */
  call<T>(operation: Operation): Promise<Outcome<T>>;
  /** The answer to what needs nothing but the image records, at once; undefined: it must be called. */
  read(operation: Operation): Outcome<unknown> | undefined;
  /** As `call`, but never refused for a full mailbox: for what gives resources back. */
  callAlways<T>(operation: Operation): Promise<Outcome<T>>;
  /** Asks for numbers, which shows too that the actor answers. Rejects when it doesn't in time. */
  stats(timeoutMs: number): Promise<ActorStats>;
  /** Waits until no operation is under way; false when some still are after `graceMs`. */
  drain(graceMs: number): Promise<boolean>;
  /** Closes the records and ends the thread; what is still under way is given up. */
  stop(): Promise<void>;
  /** Crashes the thread; resolves when it is gone. The actor starts again by itself. For tests of that. */
  crash(): Promise<void>;
}

export interface ActorOptions {
  readonly settings: ActorSettings;
  /** Operations that may be under way; more are refused at once. */
  readonly mailbox: number;
  readonly log: Logger;
  fetch(order: FetchOrder): Promise<Outcome<FetchReport>>;
  /** Told how long the spawn of each command took. */
  onSpawn(ms: number): void;
  /** Ends what other threads still do for a crashed actor, before it starts again. */
  abandonFetches(): Promise<void>;
  /** Tags of holds of downloads that still run. */
  liveTags(): readonly string[];
}

interface Running {
  readonly piscina: Piscina;
  /** The actor's images; it goes with the thread. */
  readonly mirror: ImageMirror;
  readonly link: Link;
  readonly control: comlink.Remote<ActorControl>;
  /** Settles when the thread's one task has ended, however. */
  readonly ended: Promise<unknown>;
}

const starting = fail("pool.unavailable", "the pool's actor is starting, try again");

/** Starts an actor. Fails as ActorControl.open does when the pool can't be served. */
export async function startActor(options: ActorOptions): Promise<Outcome<Actor>> {
  const { settings, log } = options;
  const { name: pool } = settings.pool;
  const children = createChildMemory();
  let running: Running | undefined;
  let state: ActorState = "starting";
  let restarts = 0;
  let restarting: Promise<void> = Promise.resolve();
  /** As a call, for TypeScript does not know that others change `state` in the meantime. */
  const isStopped = () => state === "stopped";

  async function answerActor(ask: unknown): Promise<Outcome<unknown>> {
    return options.fetch((ask as FetchRequest).fetch);
  }

  function startThread(): Running {
    const piscina = createSoloThread("pool-actor");
    const hot = new MessageChannel();
    const control = new MessageChannel();
    const lines = new MessageChannel();
    lines.port1.on("message", (report: LogLine | SpawnReport) => {
      if ("spawnMs" in report) return options.onSpawn(report.spawnMs);
      const [level, message, fields] = report;
      log[level](fields, message);
    });
    const task: ActorTask = { settings, hot: hot.port2, control: control.port2, log: lines.port2, children };
    const ended = piscina
      .run(task, { transferList: [hot.port2, control.port2, lines.port2] })
      .then(
        () => undefined,
        (error: unknown) => error,
      )
      .finally(() => {
        link.close();
        control.port1.close();
        lines.port1.close();
      });
    const mirror = createImageMirror();
    const link = openLink(hot.port1, answerActor, failed.interrupted, (news) =>
      mirror.apply(news as ImageNews),
    );
    return {
      piscina,
      mirror,
      link,
      control: comlink.wrap<ActorControl>(comlinkEndpoint(control.port1)),
      ended,
    };
  }

  /** Starts a thread and has it open its pool; a thread that fails is ended. */
  async function open(): Promise<Outcome<{ health: string; version: string }>> {
    const thread = startThread();
    // comlink calls hang for ever when the thread dies: race them against its end.
    const opened = await Promise.race([
      thread.control.open(options.liveTags()),
      thread.ended.then(
        (error): Outcome<never> => fail("internal", "the actor's thread ended", String(error)),
      ),
    ]);
    if (!opened.ok) {
      thread.link.close();
      await thread.piscina.destroy();
      return opened;
    }
    // Stopped while it opened: it must close its records like any other.
    if (isStopped()) {
      await close(thread);
      return failed.stopping;
    }
    running = thread;
    state = "ready";
    void thread.ended.then((error) => {
      restarting = restart(thread, error);
    });
    return opened;
  }

  async function close(thread: Running): Promise<void> {
    await Promise.race([thread.control.close(), thread.ended]);
    thread.link.close();
    await thread.ended;
    await thread.piscina.destroy();
    await endOrphans(children);
  }

  /** Starts the actor again after its thread has ended, until it works or is stopped. */
  async function restart(thread: Running, error: unknown): Promise<void> {
    if (state === "stopped" || running !== thread) return;
    running = undefined;
    state = "restarting";
    restarts++;
    log.error({ pool, error: String(error) }, "the actor's thread ended; it is started again");
    await thread.piscina.destroy().catch(() => {});
    await options.abandonFetches();
    const left = await endOrphans(children);
    if (left.length > 0) log.error({ pool, pids: left }, "commands of the dead actor won't end");
    for (let pauseMs = FIRST_RESTART_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_RESTART_PAUSE_MS)) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
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
      return running?.link.pending ?? 0;
    },
    get restarts() {
      return restarts;
    },
    read: (operation) => running && readRecords(running.mirror, operation),
    call: <T>(operation: Operation) => {
      if (!running) return Promise.resolve(state === "stopped" ? failed.stopping : starting);
      if (running.link.pending >= options.mailbox) return Promise.resolve(failed.overloaded);
      return running.link.call<T>(operation);
    },
    callAlways: (operation) => running?.link.call(operation) ?? Promise.resolve(starting),
    stats: async (timeoutMs) => {
      if (!running) throw new Error(`the actor is ${state}`);
      return withTimeout(running.control.stats(), timeoutMs);
    },
    drain: async (graceMs) => {
      if (!running) return true;
      return Promise.race([running.control.drain(graceMs), running.ended.then(() => true)]);
    },
    stop: async () => {
      const thread = running;
      state = "stopped";
      running = undefined;
      if (thread) await close(thread);
      await restarting;
    },
    crash: async () => {
      const thread = running;
      // Its answer may die with the thread.
      void thread?.control.crash();
      await thread?.ended;
    },
  };

  const opened = await open();
  if (!opened.ok) return opened;
  log.info({ pool, ...opened.value }, "the pool is open");
  return { ok: true, value: actor };
}

/** Answers what needs nothing but the image records, or undefined. */
function readRecords({ known }: ImageMirror, operation: Operation): Outcome<unknown> | undefined {
  if (!known) return undefined;
  if (operation.op === "GetImage") return getImage(known, operation.id);
  if (operation.op === "ListImages") return succeed(listImages(known, operation.type));
  return undefined;
}

function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
