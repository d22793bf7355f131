import { spawn } from "node:child_process";
import type { ChildTable } from "../../protocol/child-table.js";

/** How a command ended. Its text is bounded, its time too. */
export interface CommandEnd {
  readonly argv: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
  readonly exit:
    | { readonly kind: "exited"; readonly code: number }
    | { readonly kind: "signalled"; readonly signal: string }
    | { readonly kind: "timed_out"; readonly afterMs: number }
    | { readonly kind: "too_much_output"; readonly limitBytes: number }
    | { readonly kind: "not_started"; readonly errno: string };
  readonly ms: number;
}

export interface CommandLimits {
  readonly timeoutMs: number;
  readonly stdoutBytes: number;
}

/** Enough to name every snapshot of a full group; the rest of a longer text is dropped. */
export const STDERR_BYTES = 1024 * 1024;

/** zfs speaks the language of its locale; the patterns in failures.ts are of the C locale. */
export function commandEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", LANG: "C" };
}

/** Runs commands with at most `slots` at once; the others wait their turn, first come first served. */
export function createCommandRunner(
  slots: number,
  children: ChildTable,
  onEnd: (end: CommandEnd) => void,
): (argv: readonly string[], limits: CommandLimits) => Promise<CommandEnd> {
  let free = slots;
  const waiting: (() => void)[] = [];

  return async (argv, limits) => {
    if (free > 0) free--;
    else await new Promise<void>((start) => waiting.push(start));
    try {
      const end = await runCommand(argv, limits, children);
      onEnd(end);
      return end;
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

function runCommand(
  argv: readonly string[],
  limits: CommandLimits,
  children: ChildTable,
): Promise<CommandEnd> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const [program = "", ...args] = argv;
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: commandEnvironment() });
    const release = children.add(child.pid);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let stdoutBytes = 0;
    let stderrBytes = 0;
    let forced: CommandEnd["exit"] | undefined;

    /** Kill, then close our ends, then wait: a process that writes to a full pipe can't be waited for. */
    const force = (exit: CommandEnd["exit"]) => {
      if (forced) return;
      forced = exit;
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const timer = setTimeout(() => force({ kind: "timed_out", afterMs: limits.timeoutMs }), limits.timeoutMs);
    const finish = (exit: CommandEnd["exit"]) => {
      clearTimeout(timer);
      release();
      resolve({
        argv,
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: Buffer.concat(stderr).toString("utf8"),
        exit: forced ?? exit,
        ms: performance.now() - startedAt,
      });
    };

    child.stdout.on("data", (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes > limits.stdoutBytes) {
        force({ kind: "too_much_output", limitBytes: limits.stdoutBytes });
      } else stdout.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      if (stderrBytes < STDERR_BYTES) stderr.push(chunk.subarray(0, STDERR_BYTES - stderrBytes));
      stderrBytes += chunk.length;
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      // After a successful spawn "error" means that a kill failed; "close" still comes.
      if (child.pid === undefined) finish({ kind: "not_started", errno: error.code ?? "EIO" });
    });
    child.once("close", (code, signal) => {
      finish(code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code });
    });
  });
}
