import type { BodySink, BodySource, Headers, HttpReply } from "../../protocol/http/transport.js";
import { type Failure, fail, internalFailure } from "../../protocol/storage/failures.js";
import type { Pace } from "../../protocol/threads/pace.js";
import type { FairScheduler } from "./fair-scheduler.js";
import type { SharedSend } from "./shared-sends.js";
import type { SendListener } from "./streaming-handle.js";

/** What one download writes before the next one may: a client that is woken for less costs more. */
const STEP_BYTES = 64 * 1024;

/** Of a client that went before the end. */
export const CLIENT_GONE = fail(
  "service.interrupted",
  "the client went before it had the whole snapshot",
).failure;

/** Of a client that took nothing for so long. */
export function stalled(stalledReaderMs: number): Failure {
  const message = `the client took nothing for ${stalledReaderMs} ms (timeouts.stalledReaderMs)`;
  return fail("service.interrupted", message).failure;
}

export interface DownloadPumpOptions {
  readonly reply: HttpReply;
  /** Of the reply that is a stream. */
  readonly headers: Headers;
  readonly scheduler: FairScheduler;
  /** A reader that takes nothing for this long is cut off. */
  readonly stalledReaderMs: number;
  /** What it is held to; undefined: nothing. */
  readonly pace?: Pace | undefined;
  /** Starts the send or joins one. The listener's `onEnd` must be called exactly once, even after `close`. */
  openSend(listener: SendListener): SharedSend;
  /** Answers with a clean error. Called only while the reply has no status line. */
  refuse(failure: Failure): void;
  /** Counts bytes that were handed to the client's socket. */
  onBytes(bytes: number): void;
}

/** Where a download stands. */
export interface PumpState {
  readonly phase: Phase;
  /** Whether the client must read before more can be written to it. */
  readonly isBlocked: boolean;
  /** Bytes that have come and are not handed to the client's socket yet. */
  readonly waitingBytes: number;
  /** Of the send, see SharedSend. */
  readonly sendId: number;
}

export interface DownloadPump {
  state(): PumpState;
  /** Cancels the download, for that reason. `ended` resolves later, unless it has already. */
  cancel(reason: Failure): void;
  /** Since when it waits for bytes or the end of its send, by `performance.now`. Undefined: it does not. */
  readonly waitsSince: number | undefined;
  /** Of the stream, bytes. Undefined until all of it is on its way, and where nobody can tell. */
  readonly length: number | undefined;
  /**
   * Resolves once, when the send has ended and the reply is complete or cut: from then on nothing
   * needs the snapshot. With a failure unless the client got every byte: the reason of the cancel
   * that came before the send's end, or else the send's own.
   */
  readonly ended: Promise<Failure | undefined>;
}

/**
 * Where a download stands. It only ever moves down this list, and may skip phases:
 *
 * | phase      | send               | reply                              | left when                           |
 * | ---------- | ------------------ | ---------------------------------- | ----------------------------------- |
 * | waiting    | running            | nothing written                    | first byte, the send's end, cancel  |
 * | streaming  | running            | status line and bytes written      | the send's end, cancel              |
 * | draining   | ended              | the last bytes are being written   | all bytes are in the sink, cancel   |
 * | flushing   | ended              | in the sink completely             | the sink is flushed, cancel         |
 * | cancelling | closed, not ended  | cut, or nothing written            | the send's end                      |
 * | ended      | ended and closed   | complete, refused or cut           | never                               |
 *
 * "cancel" is a disconnected client, a stalled reader or a call of `cancel`. A send that runs is
 * waited for, so that its process is gone before `ended` resolves. Its failure says no more than
 * that it was cancelled, so the reason of the cancel is the outcome.
 */
type Phase = "waiting" | "streaming" | "draining" | "flushing" | "cancelling" | "ended";

/** Runs `work`. @returns the failure of an exception, which is a bug. */
function attempt(work: () => void): Failure | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return internalFailure(error).failure;
  }
}

/**
 * Moves the bytes of a send to the client, as fast as the client reads them. Throws only if
 * `openSend` does, and has opened nothing then. A later exception ends this download with
 * `internal`, and no other: whoever waits for `ended` has a hold to release.
 */
export function createDownloadPump(options: DownloadPumpOptions): DownloadPump {
  const { reply, scheduler, pace } = options;
  let phase: Phase = "waiting";
  /**
   * The body of the reply. Defined once the status line is written: a failure before that is
   * refused cleanly, a failure after it resets the connection.
   */
  let sink: BodySink | undefined;
  /** Why it was cancelled. Set on entering the phase "cancelling". */
  let cancelledBy: Failure | undefined;
  /** Bytes that the sink has taken. */
  let taken = 0;
  /** Those that `onBytes` was told. Behind `taken` while only single bytes go, which keep a connection. */
  let told = 0;
  /** Of the stream. Set on entering the phase "flushing". */
  let length: number | undefined;
  /** When bytes have last come or gone, or could go again. */
  let movedAt = performance.now();
  /** Runs while the reader must take something before the download can go on. Stopped for good in "ended". */
  let stallTimer: NodeJS.Timeout | undefined;
  /** Runs while the download waits for its pace. */
  let paceTimer: NodeJS.Timeout | undefined;
  /** Resolves `ended`. Called on entering the phase "ended"; a second call does nothing. */
  let resolveEnded: (failure: Failure | undefined) => void = () => {};
  const ended = new Promise<Failure | undefined>((resolve) => {
    resolveEnded = resolve;
  });

  const tell = (upTo: number) => {
    if (upTo > told) options.onBytes(upTo - told);
    told = Math.max(told, upTo);
  };

  const startStallTimer = () => {
    clearTimeout(stallTimer);
    stallTimer = setTimeout(() => cancel(stalled(options.stalledReaderMs)), options.stalledReaderMs);
  };

  /** waiting → streaming; a send that ended before its first byte was written stays draining. */
  const openSink = (): BodySink => {
    if (phase === "waiting") phase = "streaming";
    return reply.stream(200, options.headers, source, () => {
      clearTimeout(stallTimer);
      movedAt = performance.now();
      wake();
    });
  };

  const wake = () => scheduler.add(stepOrFail);

  /** Has it wait until these bytes are due. */
  const keepPace = (bytes: number) => {
    const ms = pace?.take(bytes) ?? 0;
    if (ms === 0) return;
    paceTimer = setTimeout(() => {
      paceTimer = undefined;
      movedAt = performance.now();
      wake();
    }, ms);
  };

  /** Writes up to STEP_BYTES. @returns how many; 0 when there are none, or when it must wait. */
  const step = (): number => {
    if (phase !== "waiting" && phase !== "streaming" && phase !== "draining") return 0;
    if (sink?.isBlocked || paceTimer !== undefined) return 0;
    if (send.available > 0) sink ??= openSink();
    let bytes = 0;
    for (let piece = 1; piece > 0 && bytes < STEP_BYTES; bytes += piece) piece = sink?.pump() ?? 0;
    if (bytes > 0) {
      movedAt = performance.now();
      keepPace(bytes);
      tell(taken);
    }
    if (sink?.isBlocked) startStallTimer();
    else if (bytes === 0 && phase === "draining") flush();
    return bytes;
  };

  const stepOrFail = (): number => {
    let bytes = 0;
    const bug = attempt(() => {
      bytes = step();
    });
    if (bug) cancel(bug);
    return bytes;
  };

  /** draining → flushing. The sink may still hold bytes back; it writes them now. */
  const flush = () => {
    phase = "flushing";
    startStallTimer();
    sink ??= openSink();
    length = taken + send.available;
    tell(length);
    sink.end(() => end(undefined));
  };

  /** waiting, streaming → draining, and with a failure at once → ended; cancelling → ended. */
  const onSendEnd = (failure: Failure | undefined) => {
    if (phase === "cancelling") return end(cancelledBy);
    phase = "draining";
    if (failure) end(failure);
    else wake();
  };

  /** waiting, streaming → cancelling; draining, flushing → ended, because no `onEnd` is to come. */
  const cancel = (reason: Failure) => {
    if (phase === "draining" || phase === "flushing") return end(reason);
    if (phase !== "waiting" && phase !== "streaming") return;
    phase = "cancelling";
    movedAt = performance.now();
    clearTimeout(stallTimer);
    clearTimeout(paceTimer);
    cancelledBy = attempt(() => sink?.reset()) ?? reason;
    const bug = attempt(() => send.close());
    // A send that can't be closed may never end.
    if (bug) end(bug);
  };

  /** draining, flushing, cancelling → ended. The first outcome counts. */
  const end = (failure: Failure | undefined) => {
    if (phase === "ended") return;
    // First, since under uWebSockets.js a reset is a disconnect at once, which calls `cancel` from in here.
    phase = "ended";
    clearTimeout(stallTimer);
    clearTimeout(paceTimer);
    const ofCount = attempt(() => tell(taken));
    const ofReply = attempt(() => {
      if (failure && sink) sink.reset();
      else if (failure) options.refuse(failure);
    });
    const ofSend = attempt(() => send.close());
    resolveEnded(ofReply ?? ofSend ?? failure ?? ofCount);
  };

  const source: BodySource = {
    get available() {
      return send.available;
    },
    peek: (limit) => send.peek(limit),
    take: (bytes) => {
      taken += bytes;
      send.take(bytes);
    },
  };
  const send = options.openSend({ onBytes: () => wake(), onEnd: onSendEnd });
  const bug = attempt(() => {
    reply.onDisconnect(() => cancel(CLIENT_GONE));
    if (reply.isDisconnected) cancel(CLIENT_GONE);
  });
  if (bug) cancel(bug);
  const state = (): PumpState => {
    const hasEnded = phase === "ended";
    // The ring of a send that has ended belongs to others.
    const waitingBytes = hasEnded ? 0 : send.available;
    return { phase, isBlocked: !hasEnded && sink?.isBlocked === true, waitingBytes, sendId: send.sendId };
  };
  return {
    state,
    cancel,
    get waitsSince() {
      const waits =
        phase === "cancelling" ||
        ((phase === "waiting" || phase === "streaming") && !sink?.isBlocked && paceTimer === undefined);
      return waits ? movedAt : undefined;
    },
    get length() {
      return length;
    },
    ended,
  };
}
