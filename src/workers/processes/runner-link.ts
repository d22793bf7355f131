import { type ChildProcess, spawn } from "node:child_process";
import { PackrStream, UnpackrStream } from "msgpackr";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import type { CommandEnd, CommandLimits } from "./run-command.js";

export interface RunOrder {
  readonly id: number;
  readonly argv: readonly string[];
  readonly limits: CommandLimits;
}

export interface RunEnd {
  readonly id: number;
  readonly end: CommandEnd;
}

export interface RunnerOptions {
  /** The compiled runner. */
  readonly script: string;
  readonly children: ChildTable;
  readonly log: ActorLog;
}

/** The runner process of one actor. */
export interface Runner {
  /** Runs a command there. Never rejects: one that was lost with the runner ends as `lost`. */
  run(argv: readonly string[], limits: CommandLimits): Promise<CommandEnd>;
  /** Times that the process was started after it had died. */
  readonly restarts: number;
  /** Ends the process, and what it runs. */
  close(): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly orders: PackrStream;
  readonly ended: Promise<void>;
}

/** Starts the runner now; one that dies is started again with the next command. */
export function startRunner({ script, children, log }: RunnerOptions): Runner {
  const pending = new Map<number, (end: CommandEnd["exit"] | CommandEnd) => void>();
  let lastId = 0;
  let restarts = 0;
  let isClosed = false;
  let running: Running | undefined = start();

  function start(): Running {
    // A group of its own, so that its commands can be ended with it.
    const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const release = children.addGroup(child.pid);
    const orders = new PackrStream();
    const ends = new UnpackrStream();
    if (child.stdin && child.stdout) {
      // What can't be written is lost with the process, whose end says so.
      child.stdin.on("error", () => {});
      orders.pipe(child.stdin);
      child.stdout.pipe(ends);
    }
    ends.on("data", ({ id, end }: RunEnd) => pending.get(id)?.(end));
    const ended = new Promise<void>((resolve) => {
      child.once("error", (error) => log.error("the runner can't be started", { error: String(error) }));
      child.once("close", (code, signal) => {
        running = undefined;
        void endGroup(child.pid).then(() => {
          release();
          if (!isClosed) log.error("the runner ended; it is started again", { code, signal });
          for (const settle of [...pending.values()]) settle({ kind: "lost" });
          resolve();
        });
      });
    });
    return { child, orders, ended };
  }

  return {
    get restarts() {
      return restarts;
    },
    run: (argv, limits) =>
      new Promise((resolve) => {
        const startedAt = performance.now();
        const id = ++lastId;
        pending.set(id, (end) => {
          pending.delete(id);
          const ms = performance.now() - startedAt;
          resolve("kind" in end ? { argv, stdout: "", stderr: "", exit: end, ms } : end);
        });
        if (isClosed) return pending.get(id)?.({ kind: "lost" });
        if (!running) {
          restarts++;
          running = start();
        }
        running.orders.write({ id, argv, limits } satisfies RunOrder);
      }),
    close: async () => {
      isClosed = true;
      running?.orders.end();
      await running?.ended;
    },
  };
}

/** How long what a dead runner left may take to go: it may sit in the kernel, or as a zombie that nobody reaps. */
const GONE_WITHIN_MS = 30_000;
const GROUP_PAUSE_MS = 10;

/** Ends what a dead runner has left running, and waits until it is gone. */
async function endGroup(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  for (const until = performance.now() + GONE_WITHIN_MS; performance.now() < until; ) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Nobody is left, or only what sudo made another user's.
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, GROUP_PAUSE_MS));
  }
}
