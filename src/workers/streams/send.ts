import type { ChildTable } from "../../protocol/child-table.js";
import { type Failure, fail } from "../../protocol/failures.js";
import { failureOf } from "../zfs/failures.js";
import { type ProcessExit, startProcess } from "../zfs/process.js";

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
  /** Bytes at the beginning that are thrown away, and cost no credit. */
  readonly skipBytes: number;
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
  const { command } = options;
  const running = startProcess(command, { stdin: false, stdout: true }, options.children);
  const { stdout } = running;
  let credit = options.credit;
  let skipBytes = options.skipBytes;
  let cancelled = false;

  stdout?.on("data", (data: Buffer) => {
    const chunk = skipBytes > 0 ? data.subarray(skipBytes) : data;
    skipBytes = Math.max(0, skipBytes - data.byteLength);
    if (cancelled || chunk.byteLength === 0) return;
    credit -= chunk.byteLength;
    if (credit <= 0) stdout.pause();
    options.onFrame(ownedBuffer(chunk));
  });

  const failureAfter = (exit: ProcessExit): Failure | undefined => {
    if (cancelled) return fail("service.interrupted", "the download was given up").failure;
    if (exit.kind === "exited" && exit.code === 0) return undefined;
    const ms = performance.now() - startedAt;
    return failureOf({ argv: command, stdout: "", stderr: running.stderrText(), exit, ms }).failure;
  };
  void running.exited.then((exit) => options.onEnd(failureAfter(exit)));

  return {
    credit: (bytes) => {
      credit += bytes;
      if (credit > 0 && !cancelled) stdout?.resume();
    },
    cancel: () => {
      cancelled = true;
      running.kill();
    },
  };
}
