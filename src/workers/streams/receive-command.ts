import { Writable } from "node:stream";
import { codeOf } from "../../protocol/storage/caught-error.js";
import type { FetchOrder } from "../../protocol/storage/operations.js";
import type { StreamAllowance } from "../../protocol/storage/send-terms.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { createStreamGuard } from "../../protocol/zfs-stream/stream-guard.js";
import { type CommandProcess, startProcess } from "../processes/child-process.js";
import { type CommandEnd, succeeded } from "../processes/run-command.js";

/** Codes of the errors that we get when a command closes its stdin before we have written everything. */
const STDIN_CLOSED: ReadonlySet<string> = new Set([
  "EPIPE",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_DESTROYED",
]);

/** How writing a stream to a command went. */
export type Feeding =
  | { readonly kind: "complete" }
  /** The command didn't read to the end; its exit status and stderr say why. */
  | { readonly kind: "stdin_closed" }
  /** The stream broke on our side of the pipe. */
  | { readonly kind: "broken"; readonly error: unknown };

/** The error of a write to a command that has failed. */
class CommandGone extends Error {
  readonly code = "ERR_STREAM_DESTROYED";
}

export interface WayListener {
  /** The command has taken bytes. */
  onTaken(): void;
  /** So many bytes were given to it so far. */
  onPassed(streamBytes: number): void;
}

/**
 * A way into `stdin` for what the guard lets pass. Ends it only after the last byte, not when a
 * pipeline fails. A command that sees the end of its input may take what came so far for the whole
 * stream, so in that case it must be killed first. A command may also have enough before that:
 * `zfs receive` ends with the last record. Its stdin is gone then, and all that was written has been
 * taken: an end that can't be told is no failure, and its callback would never be called.
 */
function guardedWayInto(
  stdin: Writable,
  allows: StreamAllowance | undefined,
  { onTaken, onPassed }: WayListener,
): Writable {
  const guard = createStreamGuard(allows);
  let streamBytes = 0;
  /** `done` is called once the command has the bytes: only then others may be in their memory. */
  const pass = (parts: readonly Uint8Array[], done: (error?: Error | null) => void) => {
    const last = parts.at(-1);
    if (last === undefined) return done();
    for (const part of parts) streamBytes += part.length;
    for (const part of parts.slice(0, -1)) stdin.write(part);
    stdin.write(last, (error) => {
      if (!error) onTaken();
      done(error);
    });
  };
  stdin.on("error", () => {});
  return new Writable({
    write: (chunk, _encoding, done) => {
      let parts: readonly Uint8Array[];
      try {
        parts = guard.push(chunk);
      } catch (error) {
        return done(error instanceof Error ? error : new Error(String(error)));
      }
      pass(parts, done);
      onPassed(streamBytes);
    },
    final: (done) => {
      pass(
        [guard.finish()].filter(({ length }) => length > 0),
        () => {},
      );
      onPassed(streamBytes);
      if (stdin.destroyed) done();
      else stdin.end(() => done());
    },
  });
}

/** A receive whose input has ended has little left to write and to sync. */
const END_MS = 5_000;

/** Ends the input of a command, and the command too if that is not enough. */
function endInput(command: CommandProcess): void {
  command.stdin?.end();
  const timer = setTimeout(command.kill, END_MS);
  void command.exited.then(() => clearTimeout(timer));
}

export interface ReceiveOptions extends WayListener {
  readonly order: Pick<FetchOrder, "command" | "allows" | "endsByInput">;
  readonly children: ChildTable;
  /** Ends the command, also one that has all its input: it may wait for something that nobody gives it any more. */
  readonly signal: AbortSignal;
  /** Called with the pid of the command once it is started. */
  onStart?: ((pid: number | undefined) => void) | undefined;
}

/**
 * Runs the receiving command; `feed` writes the stream to the way into its stdin, and rejects once `signal` is aborted.
 * Resolves when the process has ended.
 */
export async function receive(
  { order, children, signal, onStart, ...listener }: ReceiveOptions,
  feed: (way: Writable) => Promise<void>,
): Promise<{ end: CommandEnd; feeding: Feeding }> {
  const { command: argv, allows, endsByInput } = order;
  const startedAt = performance.now();
  const command = startProcess(argv, { stdin: true, stdout: false }, children);
  onStart?.(command.pid);
  let feeding: Feeding = { kind: "complete" };
  // A killed receive leaves nothing behind; one whose input just ends might.
  const giveUp = () => (endsByInput ? endInput(command) : command.kill());
  if (command.stdin) {
    const way = guardedWayInto(command.stdin, allows, listener);
    // Without this a command's failure would show only with the next byte of a slow image service.
    void command.exited.then((exit) => {
      if (!succeeded({ exit })) way.destroy(new CommandGone("the command has failed"));
    });
    try {
      await feed(way);
    } catch (error) {
      feeding = STDIN_CLOSED.has(codeOf(error)) ? { kind: "stdin_closed" } : { kind: "broken", error };
    }
  }
  if (feeding.kind === "broken" || signal.aborted) giveUp();
  else signal.addEventListener("abort", giveUp, { once: true });
  const exit = await command.exited;
  signal.removeEventListener("abort", giveUp);
  const ms = performance.now() - startedAt;
  return { end: { argv, stdout: "", stderr: command.stderrText(), exit, ms }, feeding };
}
