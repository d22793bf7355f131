import type { Socket } from "node:net";
import { type Failure, fail, internalFailure } from "../../protocol/storage/failures.js";
import { createRingWriter } from "../../protocol/threads/byte-ring.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { type CommandProcess, startProcess } from "../processes/child-process.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import { openPipe, type Pipe } from "./socket-pipe.js";

/** A running command whose output goes into a ring. It pauses while the ring is full. */
export interface Send {
  /** Of the command; undefined until it is started. */
  readonly pid: number | undefined;
  /** Continues after a pause. Call it when the ring's reader has made room. */
  resume(): void;
  /** Kills the command; `onEnd` then reports service.interrupted. Without effect after the end. */
  cancel(): void;
}

interface SendOptions {
  readonly command: readonly string[];
  /** The memory of an empty ring. Nobody else may write to it until `onEnd` is called. */
  readonly ring: SharedArrayBuffer;
  /** Bytes at the beginning of the output that are dropped. */
  readonly skipBytes: number;
  readonly children: ChildTable;
  /** A folder that we may write to: the pipe has its socket there while it is opened. */
  readonly folder: string;
  /** The ring holds bytes that its reader has not been notified of. */
  onBytes(): void;
  /** Called once, when the last byte is in the ring and the process has ended. */
  onEnd(failure: Failure | undefined): void;
}

/** Resolves when the socket is closed: with the error, or undefined if everything was read before. */
function readToEnd(reading: Socket): Promise<Error | undefined> {
  return new Promise((resolve) => {
    let failure: Error | undefined;
    reading.once("end", () => reading.destroy());
    reading.on("error", (error) => {
      if (!reading.readableEnded) failure = error;
    });
    reading.once("close", () => resolve(failure));
  });
}

/** Starts a command that writes a snapshot's stream. Never throws: every failure goes to `onEnd`. */
export function startSend(options: SendOptions): Send {
  const startedAt = performance.now();
  const { command: argv, children } = options;
  const ring = createRingWriter(options.ring);
  /** Bytes that are still to be dropped. */
  let leftToSkip = options.skipBytes;
  /** Once true, no byte is committed any more. */
  let isCancelled = false;
  /** Undefined until the pipe is open. */
  let pipe: Pipe | undefined;
  /** Undefined until the command is started, and forever if the send is cancelled before. */
  let command: CommandProcess | undefined;

  /** The socket has put `bytes` at the beginning of the ring's free region. */
  const onRead = (bytes: number): boolean => {
    const skipped = Math.min(leftToSkip, bytes);
    leftToSkip -= skipped;
    if (isCancelled || skipped === bytes) return true;
    if (skipped > 0) ring.region().copyWithin(0, skipped, bytes);
    if (ring.commit(bytes - skipped)) options.onBytes();
    if (!ring.hasRoom()) pipe?.reading.pause();
    return true;
  };

  async function run(): Promise<Failure | undefined> {
    pipe = await openPipe(options.folder, { buffer: ring.region, callback: onRead });
    const { reading, writing } = pipe;
    const drained = readToEnd(reading);
    if (isCancelled) reading.destroy();
    else command = startProcess(argv, { stdin: false, stdout: writing }, children);
    // The child has a copy. The reader sees the end only when no copy is left.
    writing.destroy();
    const exit = await command?.exited;
    const readError = await drained;
    if (isCancelled || !exit) return fail("service.interrupted", "the download was given up").failure;
    if (readError) return internalFailure(readError).failure;
    if (succeeded({ exit })) return undefined;
    const stderr = command?.stderrText() ?? "";
    return failureOf({ argv, stdout: "", stderr, exit, ms: performance.now() - startedAt }).failure;
  }

  void run()
    .catch((error: unknown) => internalFailure(error).failure)
    .then(options.onEnd);

  return {
    get pid() {
      return command?.pid;
    },
    resume: () => {
      if (!isCancelled && ring.hasRoom()) pipe?.reading.resume();
    },
    cancel: () => {
      isCancelled = true;
      command?.kill();
      pipe?.reading.destroy();
    },
  };
}
