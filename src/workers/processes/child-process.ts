import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { codeOf } from "../../protocol/storage/caught-error.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";

/** How a process ended. */
export type ProcessExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  /** It was never started. `errno`: the name from errno(3), such as `ENOENT`. */
  | { readonly kind: "not_started"; readonly errno: string };

/** A command in a child process. If it could not be started it has no streams and has ended already. */
export interface CommandProcess {
  /** Undefined if it could not be started. */
  readonly pid: number | undefined;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  /** Resolves when the process has ended and its output has been read. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** What it has written to stderr so far, up to STDERR_BYTES. */
  stderrText(): string;
  /** Kills it and closes our ends of its pipes. Otherwise the output of a full pipe would have to be read first. */
  kill(): void;
}

/** Enough to name every snapshot of a full batch. Text beyond it is dropped. */
export const STDERR_BYTES = 1024 * 1024;

/** zfs translates its messages by locale, and command-failures.ts matches those of the C locale. */
function commandEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", LANG: "C" };
}

/**
 * Starts `argv` and notes it in `children` until it has ended. `stdin` and `stdout` are pipes
 * where `pipes` says so, and /dev/null otherwise; a socket as `stdout` takes the output itself.
 */
export function startProcess(
  argv: readonly string[],
  pipes: { readonly stdin: boolean; readonly stdout: boolean | Socket },
  children: ChildTable,
): CommandProcess {
  const [program = "", ...args] = argv;
  const stdioOf = (pipe: boolean | Socket) => (typeof pipe !== "boolean" ? pipe : pipe ? "pipe" : "ignore");
  let child: ChildProcess;
  try {
    const stdio = [stdioOf(pipes.stdin), stdioOf(pipes.stdout), "pipe"] as const;
    child = spawn(program, args, { stdio: [...stdio], env: commandEnvironment() });
  } catch (error) {
    // Most failures to start come as an event, but ENOTDIR, E2BIG and some others are thrown.
    const exited = Promise.resolve({ kind: "not_started", errno: codeOf(error) || "EIO" } as const);
    return {
      pid: undefined,
      stdin: undefined,
      stdout: undefined,
      exited,
      stderrText: () => "",
      kill: () => {},
    };
  }
  const release = children.add(child.pid);
  const stderr: Buffer[] = [];
  let stderrBytes = 0;
  child.stderr?.on("data", (chunk: Buffer) => {
    if (stderrBytes < STDERR_BYTES) stderr.push(chunk.subarray(0, STDERR_BYTES - stderrBytes));
    stderrBytes += chunk.length;
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("error", (error) => {
      // With a pid the process was started, and the error is a kill that failed: "close" still follows.
      if (child.pid === undefined) resolve({ kind: "not_started", errno: codeOf(error) || "EIO" });
    });
    child.once("close", (code, signal) => {
      release();
      resolve(code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code });
    });
  });
  return {
    pid: child.pid,
    stdin: child.stdin ?? undefined,
    stdout: child.stdout ?? undefined,
    exited,
    stderrText: () => Buffer.concat(stderr).toString("utf8"),
    kill: () => {
      child.kill("SIGKILL");
      child.stdin?.destroy();
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
}
