import type { Socket } from "node:net";
import { type Failure, fail, internalFailure } from "../../protocol/storage/failures.js";
import { createRingWriter } from "../../protocol/threads/byte-ring.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { type CommandProcess, type ProcessExit, startProcess } from "../processes/child-process.js";
import { failureOf } from "../processes/command-failures.js";
import { openPipe, type Pipe } from "./socket-pipe.js";

/** A command whose output goes into a ring, as fast as the ring's reader makes room. */
export interface Send {
  /** The reader has made room. */
  goOn(): void;
  /** Ends the command at once; `onEnd` is told that it was interrupted. */
  cancel(): void;
}

export interface SendOptions {
  readonly command: readonly string[];
  /** The memory of an empty ring, for us alone to write to until `onEnd`. */
  readonly ring: SharedArrayBuffer;
  /** Bytes at the beginning that are thrown away. */
  readonly skipBytes: number;
  readonly children: ChildTable;
  /** A folder that we may write to, for what must have a place for a moment. */
  readonly folder: string;
  /** There are bytes in the ring that its reader doesn't know of. */
  onBytes(): void;
  /** Called once, after the last byte and when the process is gone. */
  onEnd(failure: Failure | undefined): void;
}

/** Resolves when the socket has closed, with what went wrong unless everything was read. */
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

export function startSend(options: SendOptions): Send {
  const startedAt = performance.now();
  const { command, children } = options;
  const ring = createRingWriter(options.ring);
  let skipBytes = options.skipBytes;
  let isCancelled = false;
  let pipe: Pipe | undefined;
  let running: CommandProcess | undefined;

  /** The first `bytes` of the ring's region have come. */
  const take = (bytes: number): boolean => {
    const skipped = Math.min(skipBytes, bytes);
    skipBytes -= skipped;
    if (isCancelled || skipped === bytes) return true;
    if (skipped > 0) ring.region().copyWithin(0, skipped, bytes);
    if (ring.commit(bytes - skipped)) options.onBytes();
    if (!ring.hasRoom()) pipe?.reading.pause();
    return true;
  };

  async function run(): Promise<Failure | undefined> {
    pipe = await openPipe(options.folder, { buffer: ring.region, callback: take });
    const { reading, writing } = pipe;
    const drained = readToEnd(reading);
    if (isCancelled) reading.destroy();
    else running = startProcess(command, { stdin: false, stdout: writing }, children);
    writing.destroy();
    const exit = await running?.exited;
    const readError = await drained;
    if (isCancelled || !exit) return fail("service.interrupted", "the download was given up").failure;
    return readError ? internalFailure(readError).failure : failureAfter(exit, running?.stderrText() ?? "");
  }

  function failureAfter(exit: ProcessExit, stderr: string): Failure | undefined {
    if (exit.kind === "exited" && exit.code === 0) return undefined;
    return failureOf({ argv: command, stdout: "", stderr, exit, ms: performance.now() - startedAt }).failure;
  }

  void run()
    .catch((error: unknown) => internalFailure(error).failure)
    .then(options.onEnd);

  return {
    goOn: () => {
      if (!isCancelled && ring.hasRoom()) pipe?.reading.resume();
    },
    cancel: () => {
      isCancelled = true;
      running?.kill();
      pipe?.reading.destroy();
    },
  };
}
