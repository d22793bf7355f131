import { spawn } from "node:child_process";
import type { ChildTable } from "../../protocol/child-table.js";
import { type Failure, fail } from "../../protocol/failures.js";
import { type CommandEnd, commandEnvironment, STDERR_BYTES } from "../zfs/command.js";
import { failureOf } from "../zfs/failures.js";

/** A command whose output goes out in frames, no faster than there is credit for. */
export interface Send {
  /** Leave to send `bytes` more. */
  credit(bytes: number): void;
  /** Ends the command at once; `onEnd` is told that it was interrupted. */
  cancel(): void;
}

export interface SendOptions {
  readonly command: readonly string[];
  /** Bytes that may be sent before more credit comes. Overdrawn by at most one read (64 KiB). */
  readonly credit: number;
  readonly children: ChildTable;
  onFrame(frame: ArrayBuffer): void;
  /** Called once, after the last frame and when the process is gone. */
  onEnd(failure: Failure | undefined): void;
}

/** The bytes of a chunk in a buffer of their own, without a copy where Node gave us one. */
function ownedBuffer(chunk: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = chunk;
  const whole = byteOffset === 0 && byteLength === buffer.byteLength;
  return (whole ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)) as ArrayBuffer;
}

export function startSend(options: SendOptions): Send {
  const startedAt = performance.now();
  const [program = "", ...args] = options.command;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: commandEnvironment() });
  const release = options.children.add(child.pid);
  const stderr: Buffer[] = [];
  let stderrBytes = 0;
  let credit = options.credit;
  let cancelled = false;
  let ended = false;

  const end = (exit: CommandEnd["exit"]) => {
    if (ended) return;
    ended = true;
    release();
    if (cancelled) {
      options.onEnd(fail("service.interrupted", "the download was given up").failure);
    } else if (exit.kind === "exited" && exit.code === 0) {
      options.onEnd(undefined);
    } else {
      const text = Buffer.concat(stderr).toString("utf8");
      const ms = performance.now() - startedAt;
      options.onEnd(failureOf({ argv: options.command, stdout: "", stderr: text, exit, ms }).failure);
    }
  };

  child.stdout.on("data", (chunk: Buffer) => {
    if (cancelled) return;
    credit -= chunk.byteLength;
    if (credit <= 0) child.stdout.pause();
    options.onFrame(ownedBuffer(chunk));
  });
  child.stderr.on("data", (chunk: Buffer) => {
    if (stderrBytes < STDERR_BYTES) stderr.push(chunk.subarray(0, STDERR_BYTES - stderrBytes));
    stderrBytes += chunk.length;
  });
  child.once("error", (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) end({ kind: "not_started", errno: error.code ?? "EIO" });
  });
  child.once("close", (code, signal) => {
    end(code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code });
  });

  return {
    credit: (bytes) => {
      credit += bytes;
      if (credit > 0 && !cancelled) child.stdout.resume();
    },
    cancel: () => {
      if (cancelled || ended) return;
      cancelled = true;
      // Kill, close the read end, then wait: a send that writes to a full pipe ends no other way.
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
    },
  };
}
