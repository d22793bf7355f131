import type { Socket } from "node:net";
import { internalFailure } from "../../protocol/storage/failures.js";
import type { BulkEnd, BulkProgress } from "../../protocol/threads/bulk-contract.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import type { Pace } from "../../protocol/threads/pace.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import type { BulkWatch, Look } from "./bulk-watch.js";
import { type ConnectionKey, type ConnectionRow, readConnections } from "./connection-table.js";
import type { SendProcess } from "./guarded-sends.js";
import { copyPaced } from "./paced-copy.js";
import type { ResetGuard } from "./reset-guard.js";
import { startSend } from "./started-send.js";

/** A command that writes to a client's connection by itself. */
export interface BulkSend {
  /** Of the command; undefined until it is started. */
  readonly pid: number | undefined;
  /** Kills the command and resets the connection. `onEnd` is still called. Without effect after the end. */
  cancel(): void;
}

interface BulkSendOptions {
  /** Guarded by `guard`. What comes on it is read here from now on, and nobody else may write to it. */
  readonly socket: Socket;
  readonly key: ConnectionKey;
  /** The head of the reply. */
  readonly head: string;
  readonly command: readonly string[];
  /** What the stream is held to: then it passes through here. Undefined: the command gets the connection. */
  readonly pace: Pace | undefined;
  readonly children: ChildTable;
  readonly guard: Pick<ResetGuard, "start" | "endWithUs" | "countSent" | "environment">;
  readonly watch: BulkWatch;
  /** A client that takes nothing for this long is cut off. */
  readonly stalledReaderMs: number;
  onBegun(): void;
  onProgress(progress: BulkProgress): void;
  /**
   * The command has ended well. The end of the connection is sent after this call. `bytes`: what it has
   * written; undefined where that can't be told for sure.
   */
  onWritten(bytes: number | undefined): void;
  /** Called once, when the command has ended and the connection is closed. `written`: as in BulkProgress. */
  onEnd(end: BulkEnd, written: number | undefined): void;
}

/** States of a connection of which the client has confirmed everything (include/net/tcp_states.h). */
const ALL_CONFIRMED: ReadonlySet<number> = new Set([5 /* FIN_WAIT2 */, 6 /* TIME_WAIT */, 7 /* CLOSE */]);

const isConfirmed = (row: ConnectionRow | undefined) => row === undefined || ALL_CONFIRMED.has(row.state);

const GONE: BulkEnd = { kind: "gone" };
const COMPLETE: BulkEnd = { kind: "complete" };
const STALLED: BulkEnd = { kind: "stalled" };

/**
 * Writes the head of a reply, and starts a command whose stdout is the client's connection. Never
 * throws: every failure goes to `onEnd`.
 *
 * libuv makes the connection a blocking one for the child. So Node writes nothing to it any more,
 * and must not read twice in a row: the second read would hold up the thread. A client that sends
 * anything after its request is cut off in the event of the first read.
 *
 * A stream with a pace is copied here instead, from a pipe: the command can't be slowed otherwise. All others are started
 * by the reset process: a fork of the daemon holds up its threads.
 */
export function startBulkSend(options: BulkSendOptions): BulkSend {
  const { socket, key, watch, command: argv } = options;
  const startedAt = performance.now();
  /** Undefined until the command is started. */
  let command: SendProcess | undefined;
  /** Set when the command has ended well: the client has yet to take the rest, and to close. */
  let isWritten = false;
  /** Set when the command has ended. */
  let hasExited = false;
  /** Why the connection is cut. The first reason counts. */
  let cut: BulkEnd | undefined;
  /** Once true, `onEnd` was called. */
  let hasEnded = false;
  /** Of the last look. */
  let written: number | undefined;
  let queued: number | undefined;
  /** When the last look found that something had moved. */
  let movedAt = startedAt;
  let unwatch = () => {};

  function end(how: BulkEnd): void {
    if (hasEnded) return;
    hasEnded = true;
    unwatch();
    // Closed before the client has closed it: the guard makes that a reset.
    socket.destroy();
    options.onEnd(how, written);
  }

  function cutOff(reason: BulkEnd): void {
    if (cut || hasEnded) return;
    cut = reason;
    if (command === undefined || hasExited) return end(cut);
    // The end of the command follows. The kernel resets the connection when both have closed it.
    command.kill();
    socket.destroy();
  }

  function onLook(look: Look): void {
    const row = look.connection;
    const nowQueued = row === "unknown" ? undefined : (row?.queuedBytes ?? 0);
    const hasDrained = queued !== undefined && nowQueued !== undefined && nowQueued !== queued;
    const hasMoved = hasDrained || (look.written ?? written) !== written;
    written = look.written ?? written;
    queued = nowQueued;
    const now = performance.now();
    if (hasMoved) movedAt = now;
    const stillMs = now - movedAt;
    const waitsForClient = isWritten || (queued !== undefined && queued > 0);
    options.onProgress({ written, queued, waitsForClient, stillMs });
    const hasAll = isWritten && row !== "unknown" && isConfirmed(row);
    // A client that has everything and does not close is not waited for either.
    if (waitsForClient && stillMs >= options.stalledReaderMs) cutOff(hasAll ? COMPLETE : STALLED);
  }

  /**
   * The client has closed its half. After the last byte that is how it ends a download. Whether it has
   * all of them only the table of connections could tell, which costs too much to ask each time: a
   * client that has gone with bytes unread has sent a reset instead.
   */
  function onClientEnd(): void {
    if (isWritten) end(COMPLETE);
    else cutOff(GONE);
  }

  async function run(): Promise<void> {
    await new Promise((resolve) => socket.write(options.head, resolve));
    if (cut) return end(cut);
    const { guard, pace } = options;
    const copying = pace && startPaced(pace);
    const started = copying?.process ?? guard.start(argv, socket);
    command = started;
    // Node pauses what it gives to a child.
    socket.resume();
    await started.begun;
    options.onBegun();
    const { exit, stderr, written: counted } = await started.ended;
    hasExited = true;
    written = counted ?? written;
    if (cut) return end(cut);
    const ms = performance.now() - startedAt;
    if (!succeeded({ exit })) {
      if (await hasClientGone()) return end(GONE);
      return end({ kind: "failed", ...failureOf({ argv, stdout: "", stderr, exit, ms }) });
    }
    const bytes = await (copying ? copying.copied : countStream());
    if (cut || hasEnded) return;
    isWritten = true;
    movedAt = performance.now();
    options.onWritten(bytes);
    socket.end();
  }

  /** Starts the command here, with a pipe, and copies what comes from it. */
  function startPaced(pace: Pace): { readonly process: SendProcess; readonly copied: Promise<number> } {
    const { children, guard } = options;
    const { command: started, ended } = startSend(argv, true, guard.environment, children);
    const { pid } = started;
    if (pid !== undefined) void started.exited.then(guard.endWithUs(pid));
    const copied = started.stdout ? copyPaced(started.stdout, socket, pace) : Promise.resolve(0);
    copied.catch(() => {});
    return { process: { pid, begun: Promise.resolve(), ended, kill: started.kill }, copied };
  }

  /** The end must not be sent yet: a client that has it may close, and then the kernel forgets the connection. */
  async function countStream(): Promise<number | undefined> {
    const all = await options.guard.countSent(socket);
    return all === undefined ? undefined : all - socket.bytesWritten;
  }

  /** A command notices before us that nobody is there to write to. */
  async function hasClientGone(): Promise<boolean> {
    const rows = await readConnections([key]).catch(() => undefined);
    return cut?.kind === "gone" || (rows !== undefined && !rows.has(key));
  }

  socket.on("error", () => cutOff(GONE));
  socket.once("close", () => cutOff(GONE));
  socket.on("end", onClientEnd);
  // See above: it sends what nobody asked for.
  socket.on("data", () => cutOff(GONE));
  socket.resume();
  unwatch = watch.add({
    key,
    get pid() {
      return hasExited ? undefined : command?.pid;
    },
    get wantsConnection() {
      return isWritten;
    },
    onLook,
  });
  void run().catch((error: unknown) => end({ kind: "failed", ...internalFailure(error) }));
  return {
    get pid() {
      return hasExited ? undefined : command?.pid;
    },
    cancel: () => cutOff(GONE),
  };
}
