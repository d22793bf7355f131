import type { Headers } from "../../protocol/http/transport.js";
import type { Failure } from "../../protocol/storage/failures.js";
import type { BulkEnd, BulkProgress } from "../../protocol/threads/bulk-contract.js";
import type { BulkReply } from "./bulk-handle.js";
import { CLIENT_GONE, type DownloadPump, type PumpState, stalled } from "./download-pump.js";

export interface BulkPumpOptions {
  readonly reply: BulkReply;
  readonly command: readonly string[];
  /** Of the reply that is a stream. */
  readonly headers: Headers;
  /** What it is held to, bytes a second; undefined: what holds all together. */
  readonly bytesPerSecond?: number | undefined;
  readonly stalledReaderMs: number;
  /** Answers with a clean error. Called only while the reply has no status line. */
  refuse(failure: Failure): void;
  /** Counts bytes that the command has written. */
  onBytes(bytes: number): void;
}

/**
 * A download whose command writes to the client by itself. Main has no byte of it: the streaming
 * worker tells how far it is. It has the phases of a DownloadPump, which mean:
 *
 * | phase      | command            | connection                              | left when                 |
 * | ---------- | ------------------ | --------------------------------------- | ------------------------- |
 * | waiting    | not started        | nothing written                         | the head is written, end  |
 * | streaming  | running            | the command's                           | the command's end, cancel |
 * | flushing   | ended well         | shut down, the client takes the rest    | the client closes, cancel |
 * | cancelling | being killed       | being reset                             | both have ended           |
 * | ended      | ended              | closed                                  | never                     |
 */
export function createBulkPump(options: BulkPumpOptions): DownloadPump {
  let phase: PumpState["phase"] = "waiting";
  /** Why it was cancelled. Set on entering the phase "cancelling". */
  let cancelledBy: Failure | undefined;
  /** Of the last progress. */
  let isBlocked = false;
  let waitingBytes = 0;
  let counted = 0;
  /** Of the stream. Undefined until all of it is written, and where nobody can tell. */
  let length: number | undefined;
  /** When bytes have last moved, as far as the worker has told. */
  let movedAt = performance.now();
  let resolveEnded: (failure: Failure | undefined) => void = () => {};
  const ended = new Promise<Failure | undefined>((resolve) => {
    resolveEnded = resolve;
  });

  /** The kernel counts upwards, and may stop telling. */
  function count(written: number | undefined): void {
    if (written === undefined || written <= counted) return;
    options.onBytes(written - counted);
    counted = written;
  }

  function onProgress({ written, queued, waitsForClient, stillMs }: BulkProgress): void {
    isBlocked = waitsForClient;
    waitingBytes = queued ?? 0;
    movedAt = performance.now() - stillMs;
    count(written);
  }

  function onEnd(end: BulkEnd, hasBegun: boolean, written: number | undefined): void {
    if (phase === "ended") return;
    count(written);
    const failure = cancelledBy ?? failureOf(end);
    phase = "ended";
    if (failure && !hasBegun) options.refuse(failure);
    resolveEnded(failure);
  }

  function failureOf(end: BulkEnd): Failure | undefined {
    switch (end.kind) {
      case "complete":
        return undefined;
      case "gone":
        return CLIENT_GONE;
      case "stalled":
        return stalled(options.stalledReaderMs);
      case "failed":
        return end.failure;
    }
  }

  const { reply, command, headers, bytesPerSecond } = options;
  const send = reply.handOver(
    { command, headers, bytesPerSecond },
    {
      onBegun: () => {
        if (phase === "waiting") phase = "streaming";
      },
      onProgress,
      onWritten: (bytes) => {
        length = bytes;
        if (phase === "streaming") phase = "flushing";
      },
      onEnd,
    },
  );
  return {
    state: () => ({ phase, isBlocked: phase !== "ended" && isBlocked, waitingBytes, sendId: send.id }),
    cancel: (reason) => {
      if (phase === "cancelling" || phase === "ended") return;
      phase = "cancelling";
      movedAt = performance.now();
      cancelledBy = reason;
      send.cancel();
    },
    get waitsSince() {
      const waits = phase === "cancelling" || ((phase === "waiting" || phase === "streaming") && !isBlocked);
      return waits ? movedAt : undefined;
    },
    get length() {
      return length;
    },
    ended,
  };
}
