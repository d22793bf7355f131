import { spawn } from "node:child_process";
import { PackrStream, UnpackrStream } from "msgpackr";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import type { CommandEnd, CommandLimits } from "./run-command.js";

/** From an actor to its runner: run this command. */
export interface RunRequest {
  readonly id: number;
  readonly argv: readonly string[];
  readonly limits: CommandLimits;
}

/** From the runner to its actor: the command of that request has ended. */
export interface RunReply {
  readonly id: number;
  readonly end: CommandEnd;
}

interface RunnerOptions {
  /** The path of the compiled runner. */
  readonly script: string;
  readonly children: ChildTable;
  readonly log: ActorLog;
}

/** The runner process of one actor. */
export interface Runner {
  /**
   * Runs a command in the runner. Never rejects. If the runner dies or is closed before the
   * command has ended, the command is killed too and then ends as `lost`.
   */
  run(argv: readonly string[], limits: CommandLimits): Promise<CommandEnd>;
  /** How often the process was started again after it had died. */
  readonly restarts: number;
  /** Ends the process and its commands. Later commands end as `lost`. */
  close(): Promise<void>;
}

interface RunnerProcess {
  readonly requests: PackrStream;
  /** What settles each command that this process has not answered, by the id of its request. */
  readonly pending: Map<number, (end: CommandEnd["exit"] | CommandEnd) => void>;
  /** Resolves when the process and its commands have ended. */
  readonly ended: Promise<void>;
}

/** Starts the runner at once. If it dies, the next command starts it again. */
export function startRunner({ script, children, log }: RunnerOptions): Runner {
  /** The id of the newest request; ids count through all processes. */
  let lastId = 0;
  /** Processes started after the first. */
  let restarts = 0;
  /** Set by `close`: from then on nothing is started. */
  let isClosed = false;
  /** Undefined from the death of the process until the next command. */
  let running: RunnerProcess | undefined = start();

  function start(): RunnerProcess {
    // `detached`: the process leads a group, which can be killed together with its commands.
    const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const release = children.addGroup(child.pid);
    const pending: RunnerProcess["pending"] = new Map();
    const requests = new PackrStream();
    const replies = new UnpackrStream();
    if (child.stdin && child.stdout) {
      // Requests that can't be written are lost with the process, and "close" reports them.
      child.stdin.on("error", () => {});
      requests.pipe(child.stdin);
      child.stdout.pipe(replies);
    }
    replies.on("data", ({ id, end }: RunReply) => {
      pending.get(id)?.(end);
      pending.delete(id);
    });
    const ended = new Promise<void>((resolve) => {
      child.once("error", (error) => log.error("the runner can't be started", { error: String(error) }));
      child.once("close", (code, signal) => {
        running = undefined;
        void endGroup(child.pid).then(() => {
          release();
          if (!isClosed) log.error("the runner ended; it is started again", { code, signal });
          for (const settle of pending.values()) settle({ kind: "lost" });
          resolve();
        });
      });
    });
    return { requests, pending, ended };
  }

  return {
    get restarts() {
      return restarts;
    },
    run: (argv, limits) =>
      new Promise((resolve) => {
        const startedAt = performance.now();
        const settle = (end: CommandEnd["exit"] | CommandEnd) => {
          const ms = performance.now() - startedAt;
          resolve("kind" in end ? { argv, stdout: "", stderr: "", exit: end, ms } : end);
        };
        if (isClosed) return settle({ kind: "lost" });
        if (!running) {
          restarts++;
          running = start();
        }
        const id = ++lastId;
        running.pending.set(id, settle);
        running.requests.write({ id, argv, limits } satisfies RunRequest);
      }),
    close: async () => {
      isClosed = true;
      running?.requests.end();
      await running?.ended;
    },
  };
}

/**
 * Longest wait for the commands of a dead runner. They may hang in the kernel, or stay zombies
 * because nobody reaps them.
 */
const GROUP_END_LIMIT_MS = 30_000;
const GROUP_PAUSE_MS = 10;

/** Kills the commands that a dead runner has left, and waits until they have ended. */
async function endGroup(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  for (const deadline = performance.now() + GROUP_END_LIMIT_MS; performance.now() < deadline; ) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // ESRCH: the group is empty. EPERM: all that is left belongs to another user, by sudo.
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, GROUP_PAUSE_MS));
  }
}
