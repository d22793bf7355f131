import { spawn } from "node:child_process";
import { PackrStream, UnpackrStream } from "msgpackr";
import type { ActorLog } from "../../protocol/threads/actor-log.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import type { LibraryCall, LibraryEnd } from "../libzfs/library-call.js";
import { endGroup, GROUP_END_LIMIT_MS } from "./process-group.js";
import type { CommandEnd, CommandLimits } from "./run-command.js";
import type { RunningCommand, RunReply, RunRequest } from "./runner-messages.js";

interface RunnerOptions {
  /** The path of the compiled runner. */
  readonly script: string;
  readonly children: ChildTable;
  readonly log: ActorLog;
  /**
   * While commands run, a runner that has given no sign of life for about so long is killed,
   * whatever their own time limits are.
   */
  readonly silentMs: number;
  /** How long after a command's own time limit the runner must have replied. For tests. */
  readonly replyLimitMs?: number;
  /** How long a runner that was killed may take to end. For tests. */
  readonly endLimitMs?: number;
  /** Calls of libzfs_core that may run at once: each blocks a thread. */
  readonly callThreads?: number;
}

/** The runner process of one actor. */
export interface Runner {
  /**
   * Runs a command in the runner. Never rejects. If the runner dies or is closed before the
   * command has ended, the command is killed too and then ends as `lost`. If the runner is
   * silent for too long, or has not replied by the command's time limit, it is killed with all its
   * commands: a command that is over its limit ends as `timed_out`, the others as `lost`.
   */
  run(argv: readonly string[], limits: CommandLimits): Promise<CommandEnd>;
  /**
   * Makes a call of libzfs_core in the runner. Never rejects. Nothing can take a call back: one that is over
   * its time limit costs the runner, which is killed with all that it does. The call then ends as
   * `timed_out`, all the others as `lost`.
   */
  call(call: LibraryCall, timeoutMs: number): Promise<LibraryEnd>;
  /**
   * Runs a command without a time limit, in the runner, and gives what it writes to `onText`. It is none of the
   * commands for whose sake a silent runner is killed, but it ends with the runner.
   */
  follow(argv: readonly string[], onText: (text: string) => void): FollowedCommand;
  /** Resolves with what it runs when the runner has replied. Never settles while it does not. */
  ping(): Promise<readonly RunningCommand[]>;
  /** How often the process was started again after it had died. */
  readonly restarts: number;
  /** Ends the process and its commands, also when it is stopped. Later commands end as `lost`. */
  close(): Promise<void>;
}

/** A command that runs until something ends it. */
export interface FollowedCommand {
  /** Resolves with its end, without its output. Never rejects. */
  readonly ended: Promise<CommandEnd>;
  /** Kills it. Nothing more comes of it. */
  stop(): void;
}

/** What a request is answered with when there is no reply. */
type NoReply = Extract<CommandEnd["exit"], { kind: "lost" | "timed_out" }>;

interface RunnerProcess {
  readonly requests: PackrStream;
  /** What settles each request that this process has not answered, by its id. */
  readonly pending: Map<number, (reply: RunReply | NoReply) => void>;
  /** The same for followed commands, which have several replies. */
  readonly followed: Map<number, (reply: RunReply | NoReply) => void>;
  /** The process is dead or about to be; its commands may still be ending. */
  isEnding: boolean;
  /** Kills the process and its commands. */
  kill(): void;
  /** Resolves when the process and its commands have ended, or don't end though they were killed. */
  readonly ended: Promise<void>;
}

/** A runner kills a command at its time limit and waits up to 5 s for its end; the rest is for its reply. */
const REPLY_LIMIT_MS = 7_000;
/**
 * A runner is asked so often within `silentMs`, and is killed when so many periods have passed
 * without a sign of life. They are counted, not measured: when this thread or the whole machine was
 * stopped for a while, one period has passed, in which the runner could not reply either. A runner
 * that is only slow replies late: it need not answer each question, one reply of any kind counts.
 */
const ASKS = 8;
/** A runner that is closed has only to kill its group. */
const CLOSE_LIMIT_MS = 2_000;

/** Starts the runner at once. If it dies, the next command starts it again. */
export function startRunner(options: RunnerOptions): Runner {
  const { script, children, log, silentMs, callThreads } = options;
  const { replyLimitMs = REPLY_LIMIT_MS, endLimitMs = GROUP_END_LIMIT_MS } = options;
  /** The id of the newest request; ids count through all processes. */
  let lastId = 0;
  /** Processes started after the first. */
  let restarts = 0;
  /** Set by `close`: from then on nothing is started. */
  let isClosed = false;
  /** Undefined from the end of a process and all its commands until the next request. */
  let running: RunnerProcess | undefined = start();

  function start(): RunnerProcess {
    // `detached`: the process leads a group, which can be killed together with its commands.
    const child = spawn(process.execPath, [script], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
      env: { ...process.env, ...(callThreads && { UV_THREADPOOL_SIZE: String(callThreads) }) },
    });
    const release = children.addGroup(child.pid);
    const pending: RunnerProcess["pending"] = new Map();
    const followed: RunnerProcess["followed"] = new Map();
    const requests = new PackrStream();
    const replies = new UnpackrStream();
    if (child.stdin && child.stdout) {
      // Requests that can't be written are lost with the process, and "close" reports them.
      child.stdin.on("error", () => {});
      requests.pipe(child.stdin);
      child.stdout.pipe(replies);
    }
    /** Periods that have passed since the oldest question without a reply; undefined: there is none. */
    let silentPeriods: number | undefined;
    const ask = () => {
      if (pending.size === 0 || started.isEnding) {
        silentPeriods = undefined;
      } else if (silentPeriods === undefined) {
        silentPeriods = 0;
        requests.write({ id: ++lastId } satisfies RunRequest);
      } else if (++silentPeriods === ASKS) {
        log.error("the runner gives no sign of life; it is killed", { pid: child.pid, afterMs: silentMs });
        kill();
      }
    };
    const pulse = setInterval(ask, silentMs / ASKS);
    pulse.unref();
    replies.on("data", (reply: RunReply) => {
      silentPeriods = undefined;
      followed.get(reply.id)?.(reply);
      pending.get(reply.id)?.(reply);
      pending.delete(reply.id);
    });
    /** Set with `abandoned`. */
    let abandon = () => {};
    const abandoned = new Promise<null>((resolve) => {
      abandon = () => resolve(null);
    });
    const kill = () => {
      started.isEnding = true;
      void endGroup(child.pid, endLimitMs).then((hasEnded) => hasEnded || abandon());
    };
    const closed = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
      child.once("error", (error) => log.error("the runner can't be started", { error: String(error) }));
      child.once("close", (code, signal) => {
        started.isEnding = true;
        void endGroup(child.pid, endLimitMs).then(() => resolve({ code, signal }));
      });
    });
    const ended = Promise.race([closed, abandoned]).then((end) => {
      clearInterval(pulse);
      running = undefined;
      release();
      if (end === null) {
        // A call that hangs in the kernel keeps its process, killed or not. Nobody waits for that.
        log.error("the killed runner does not end; another takes its place", { pid: child.pid });
        child.unref();
        child.stdin?.destroy();
        child.stdout?.destroy();
      } else if (!isClosed) log.error("the runner ended; it is started again", end);
      for (const settle of [...pending.values(), ...followed.values()]) settle({ kind: "lost" });
    });
    const started: RunnerProcess = { requests, pending, followed, isEnding: false, kill, ended };
    return started;
  }

  /** The process that takes requests, once those that end have ended. Undefined: it is closed. */
  function taking(): RunnerProcess | undefined {
    if (isClosed) return undefined;
    if (!running) {
      restarts++;
      running = start();
    }
    return running;
  }

  /**
   * Sends a request. Never rejects. Without `timeoutMs` its reply has no time limit. It waits for the
   * commands of a dead runner to end first, so that no command works on a pool beside one that nobody waits
   * for any more.
   */
  async function send(
    request: Omit<RunRequest, "id">,
    timeoutMs?: number,
    graceMs = replyLimitMs,
  ): Promise<RunReply | NoReply> {
    while (running?.isEnding) await running.ended;
    return new Promise((resolve) => {
      const runner = taking();
      if (!runner) return resolve({ kind: "lost" });
      const { pending, requests, kill } = runner;
      const id = ++lastId;
      const isOverdue = (afterMs: number) => {
        log.error("the runner does not reply; it is killed", { id, afterMs: afterMs + graceMs });
        // Settled at the end of the process, so that nothing of it goes on behind the answer.
        pending.set(id, () => resolve({ kind: "timed_out", afterMs }));
        kill();
      };
      const overdue =
        timeoutMs === undefined ? undefined : setTimeout(isOverdue, timeoutMs + graceMs, timeoutMs);
      pending.set(id, (reply) => {
        clearTimeout(overdue);
        resolve(reply);
      });
      requests.write({ ...request, id } satisfies RunRequest);
    });
  }

  function follow(argv: readonly string[], onText: (text: string) => void): FollowedCommand {
    /** Ends it; until it has been begun, it keeps it from that. */
    let end = () => {
      isStopped = true;
    };
    let isStopped = false;
    const begin = async (): Promise<CommandEnd> => {
      const startedAt = performance.now();
      while (running?.isEnding) await running.ended;
      const runner = isStopped ? undefined : taking();
      const lost = () => ({ argv, stdout: "", stderr: "", exit, ms: performance.now() - startedAt });
      const exit: CommandEnd["exit"] = { kind: "lost" };
      if (!runner) return lost();
      const id = ++lastId;
      return new Promise((resolve) => {
        runner.followed.set(id, (reply) => {
          if ("id" in reply && reply.text !== undefined) {
            if (!isStopped) onText(reply.text);
            return;
          }
          runner.followed.delete(id);
          resolve(("id" in reply && reply.end) || lost());
        });
        end = () => {
          isStopped = true;
          if (!runner.isEnding && !isClosed)
            runner.requests.write({ id: ++lastId, unfollow: id } satisfies RunRequest);
        };
        runner.requests.write({ id, follow: argv } satisfies RunRequest);
      });
    };
    return { ended: begin(), stop: () => end() };
  }

  return {
    get restarts() {
      return restarts;
    },
    follow,
    run: async (argv, limits) => {
      const startedAt = performance.now();
      const reply = await send({ command: { argv, limits } }, limits.timeoutMs);
      if ("id" in reply && reply.end) return reply.end;
      const exit: CommandEnd["exit"] = "kind" in reply ? reply : { kind: "lost" };
      return { argv, stdout: "", stderr: "", exit, ms: performance.now() - startedAt };
    },
    call: async (call, timeoutMs) => {
      const startedAt = performance.now();
      const reply = await send({ call }, timeoutMs, 0);
      const exit = "id" in reply ? (reply.called ?? ({ kind: "lost" } as const)) : reply;
      return { exit, ms: performance.now() - startedAt };
    },
    ping: () =>
      new Promise((resolve) => {
        void send({}).then((reply) => {
          if ("id" in reply) resolve(reply.running ?? []);
        });
      }),
    close: async () => {
      isClosed = true;
      const closing = running;
      if (!closing) return;
      closing.requests.end();
      const overdue = setTimeout(closing.kill, CLOSE_LIMIT_MS);
      await closing.ended;
      clearTimeout(overdue);
    },
  };
}
