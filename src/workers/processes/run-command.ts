import type { ChildTable } from "../../protocol/threads/child-table.js";
import { type ProcessExit, startProcess } from "./child-process.js";

/** How a command ended, with its output up to the limits. */
export interface CommandEnd {
  readonly argv: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
  readonly exit:
    | ProcessExit
    /** The runner died while the command was pending: its outcome is unknown. */
    | { readonly kind: "lost" }
    /** Killed by a limit. What it was to change may or may not have happened. */
    | { readonly kind: "timed_out"; readonly afterMs: number }
    | { readonly kind: "too_much_output"; readonly limitBytes: number };
  readonly ms: number;
  /** How long the call of spawn took, for the metrics; undefined if it ran in no process. */
  readonly spawnMs?: number;
}

/** Whether the command ended by itself, with exit status 0. */
export function succeeded({ exit }: Pick<CommandEnd, "exit">): boolean {
  return exit.kind === "exited" && exit.code === 0;
}

/** A command that exceeds one of the limits is killed. */
export interface CommandLimits {
  readonly timeoutMs: number;
  readonly stdoutBytes: number;
  /** What the command can read; without it stdin is empty. */
  readonly stdin?: string;
}

/**
 * What a command does to its pool. Each kind has slots of its own: a destroy can take minutes,
 * and nothing else may wait for it.
 */
export type CommandKind = "read" | "hold" | "change" | "destroy";

/** Runs a command. Never rejects. */
export type RunCommand = (
  argv: readonly string[],
  limits: CommandLimits,
  kind: CommandKind,
) => Promise<CommandEnd>;

/** Longest wait after a kill. The process may hang in the kernel, or belong to another user by sudo. */
const KILLED_WAIT_MS = 5_000;

/** Runs one command in a child of this process. Never rejects. */
export async function runCommand(
  argv: readonly string[],
  { timeoutMs, stdoutBytes: limitBytes, stdin }: CommandLimits,
  children: ChildTable,
  onStart: (pid: number | undefined) => void = () => {},
): Promise<CommandEnd> {
  const startedAt = performance.now();
  const command = startProcess(argv, { stdin: stdin !== undefined, stdout: true }, children);
  onStart(command.pid);
  // A command that ends before it has read everything says on stderr why.
  command.stdin?.on("error", () => {});
  command.stdin?.end(stdin);
  const spawnMs = performance.now() - startedAt;
  const stdout: Buffer[] = [];
  const exit = await new Promise<CommandEnd["exit"]>((resolve) => {
    let stdoutBytes = 0;
    /** The limit that killed the command, the first if there were two; undefined while it runs. */
    let killedBy: CommandEnd["exit"] | undefined;
    /** Set by the kill: ends the wait for a process that survives it. */
    let waitLimit: NodeJS.Timeout | undefined;
    const kill = (limit: CommandEnd["exit"]) => {
      if (killedBy) return;
      killedBy = limit;
      clearTimeout(timeLimit);
      command.kill();
      waitLimit = setTimeout(resolve, KILLED_WAIT_MS, limit);
    };
    const timeLimit = setTimeout(kill, timeoutMs, { kind: "timed_out", afterMs: timeoutMs });
    command.stdout?.on("data", (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes > limitBytes) kill({ kind: "too_much_output", limitBytes });
      else stdout.push(chunk);
    });
    void command.exited.then((exited) => {
      clearTimeout(timeLimit);
      clearTimeout(waitLimit);
      resolve(killedBy ?? exited);
    });
  });
  return {
    argv,
    stdout: Buffer.concat(stdout).toString("utf8"),
    stderr: command.stderrText(),
    exit,
    ms: performance.now() - startedAt,
    spawnMs,
  };
}
