import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import type { ChildTable } from "../../protocol/threads/child-table.js";

/** How a process ended, as far as the process itself tells. */
export type ProcessExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "not_started"; readonly errno: string };

/** A running command. One that could not be started has no streams and has ended already. */
export interface CommandProcess {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  /** Settles when the process is gone and its output is read. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** What it wrote to stderr so far, the first MiB of it. */
  stderrText(): string;
  /** Kills it, then closes our ends: a process that writes to a full pipe can't be waited for. */
  kill(): void;
}

/** Enough to name every snapshot of a full group; the rest of a longer text is dropped. */
export const STDERR_BYTES = 1024 * 1024;

/** zfs speaks the language of its locale; the patterns in failures.ts are of the C locale. */
function commandEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", LANG: "C" };
}

/** Starts `argv` with a pipe where we feed it (`stdin`) or read it (`stdout`), or with a socket that takes its output. */
export function startProcess(
  argv: readonly string[],
  pipes: { readonly stdin: boolean; readonly stdout: boolean | Socket },
  children: ChildTable,
): CommandProcess {
  const [program = "", ...args] = argv;
  const pipe = (wanted: boolean | Socket) =>
    typeof wanted !== "boolean" ? wanted : wanted ? "pipe" : "ignore";
  let child: ChildProcess;
  try {
    const stdio = [pipe(pipes.stdin), pipe(pipes.stdout), "pipe"] as const;
    child = spawn(program, args, { stdio: [...stdio], env: commandEnvironment() });
  } catch (error) {
    // Most errors come as an event, but ENOTDIR, E2BIG and some others are thrown.
    const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
    const exited = Promise.resolve({ kind: "not_started", errno } as const);
    return { stdin: undefined, stdout: undefined, exited, stderrText: () => "", kill: () => {} };
  }
  const release = children.add(child.pid);
  const stderr: Buffer[] = [];
  let stderrBytes = 0;
  child.stderr?.on("data", (chunk: Buffer) => {
    if (stderrBytes < STDERR_BYTES) stderr.push(chunk.subarray(0, STDERR_BYTES - stderrBytes));
    stderrBytes += chunk.length;
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      // After a successful spawn "error" means that a kill failed; "close" still comes.
      if (child.pid === undefined) resolve({ kind: "not_started", errno: error.code ?? "EIO" });
    });
    child.once("close", (code, signal) => {
      release();
      resolve(code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code });
    });
  });
  return {
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
