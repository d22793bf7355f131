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
  /**
   * Resolves when it has closed its stderr, which it does at its end at the latest. Whoever waits for
   * it still finds the process in /proc, unless that is slower to answer than the process to end.
   */
  readonly stderrEnd: Promise<void>;
  /** What it has written to stderr so far, up to STDERR_BYTES. */
  stderrText(): string;
  /** Kills it and closes our ends of its pipes. Otherwise the output of a full pipe would have to be read first. */
  kill(): void;
}

export interface ProcessOptions {
  /** Whether it has a pipe there; otherwise it has /dev/null. A socket is its input itself. */
  readonly stdin: boolean | Socket;
  /** The same. A socket takes the output itself. */
  readonly stdout: boolean | Socket;
  /**
   * It leads a process group, which is killed as a whole, by SIGTERM first: a command behind `sudo`
   * has our socket too, and only sudo may end it. Nothing of the group outlives a failure.
   */
  readonly isGroup?: boolean;
  /** Beside what all commands have. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Enough to name every snapshot of a full batch. Text beyond it is dropped. */
export const STDERR_BYTES = 1024 * 1024;

/** zfs translates its messages by locale, and command-failures.ts matches those of the C locale. */
function commandEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", LANG: "C" };
}

/** How long a process group may take to end by SIGTERM. */
const TERM_MS = 1_000;

/** Sends a signal to a process group. Errors don't matter: it has ended, or belongs to another user. */
function signalGroup(group: number | undefined, signal: NodeJS.Signals): void {
  if (group === undefined) return;
  try {
    process.kill(-group, signal);
  } catch {}
}

/** Ends a process group: by SIGTERM, and what is left of it a second later. Call the returned function if nothing is. */
export function endGroup(group: number | undefined): () => void {
  signalGroup(group, "SIGTERM");
  const timer = setTimeout(() => signalGroup(group, "SIGKILL"), TERM_MS);
  return () => clearTimeout(timer);
}

/** Starts `argv` and notes it in `children` until it has ended. */
export function startProcess(
  argv: readonly string[],
  { stdin, stdout, isGroup = false, env = {} }: ProcessOptions,
  children: ChildTable,
): CommandProcess {
  const [program = "", ...args] = argv;
  const stdioOf = (pipe: boolean | Socket) => (typeof pipe !== "boolean" ? pipe : pipe ? "pipe" : "ignore");
  let child: ChildProcess;
  try {
    const stdio = [stdioOf(stdin), stdioOf(stdout), "pipe"] as const;
    const environment = { ...commandEnvironment(), ...env };
    child = spawn(program, args, { stdio: [...stdio], env: environment, detached: isGroup });
  } catch (error) {
    // Most failures to start come as an event, but ENOTDIR, E2BIG and some others are thrown.
    return notStarted(codeOf(error) || "EIO");
  }
  const release = isGroup ? children.addGroup(child.pid) : children.add(child.pid);
  const stderr: Buffer[] = [];
  let stderrBytes = 0;
  child.stderr?.on("data", (chunk: Buffer) => {
    if (stderrBytes < STDERR_BYTES) stderr.push(chunk.subarray(0, STDERR_BYTES - stderrBytes));
    stderrBytes += chunk.length;
  });
  const stderrEnd = new Promise<void>((resolve) => {
    child.stderr?.once("end", resolve).once("close", resolve);
  });
  if (isGroup) {
    child.once("exit", (code) => {
      if (code !== 0) signalGroup(child.pid, "SIGKILL");
    });
  }
  const exited = new Promise<ProcessExit>((resolve) => {
    // With a pid the process was started, and the error is a kill that failed: "close" still follows. Each kill of a
    // command that belongs to another user by sudo fails, so this is not for the first one alone.
    child.on("error", (error) => {
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
    stderrEnd,
    stderrText: () => Buffer.concat(stderr).toString("utf8"),
    kill: () => {
      if (!isGroup) child.kill("SIGKILL");
      else if (child.exitCode === null && child.signalCode === null) {
        child.once("exit", endGroup(child.pid));
      }
      child.stdin?.destroy();
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
}

/** A command that has ended already, as it could not be started. */
function notStarted(errno: string): CommandProcess {
  return {
    pid: undefined,
    stdin: undefined,
    stdout: undefined,
    exited: Promise.resolve({ kind: "not_started", errno }),
    stderrEnd: Promise.resolve(),
    stderrText: () => "",
    kill: () => {},
  };
}
