import { addAbortSignal } from "node:stream";
import { finished } from "node:stream/promises";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { StreamFailure } from "../../protocol/zfs-stream/stream-failure.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import { BodyBroken, type BodyRing } from "./body-ring.js";
import { receive } from "./receive-command.js";

interface ReceiveOptions {
  readonly order: FetchOrder;
  /** Undefined: the client has gone before. */
  readonly body: BodyRing | undefined;
  /** How many bytes the client wants to send; undefined: it has not said so. */
  readonly length: number | undefined;
  readonly children: ChildTable;
  /** Ends the receive, which then fails with service.interrupted. */
  readonly signal: AbortSignal;
  /** Called with the pid of the receiving command once it is started. */
  onStart(pid: number | undefined): void;
  /** Called when the receiver has taken bytes. */
  onMoved(): void;
  onProgress(receivedBytes: number, streamBytes: number): void;
  onLength(totalBytes: number): void;
}

const INTERRUPTED = fail("service.interrupted", "the receive was given up");
const GONE = fail("stream.cut_short", "the stream is cut short: the client has gone");

function brokenBy(error: unknown): FailedOutcome {
  if (error instanceof StreamFailure) return fail("stream.invalid", `no usable stream: ${error.message}`);
  return error instanceof BodyBroken ? GONE : fail("internal", "the stream could not be read", String(error));
}

/**
 * Pipes a stream that a client sends into the receiving command. Nothing is stored in between. Fails:
 * stream.cut_short, stream.invalid, service.interrupted, and as the command does; whoever ordered it looks after
 * what was received by then.
 */
export async function receiveBody(options: ReceiveOptions): Promise<Outcome<FetchReport>> {
  const { order, body, length, children, signal, onStart, onMoved, onProgress } = options;
  if (!body) return GONE;
  if (length !== undefined) options.onLength(length);
  let receivedBytes = 0;
  let streamBytes = 0;
  const onPassed = (passed: number) => {
    streamBytes = passed;
    onProgress(receivedBytes, streamBytes);
  };
  const { end, feeding } = await receive(
    { order, children, signal, onStart, onTaken: onMoved, onPassed },
    (way) => {
      const done = finished(addAbortSignal(signal, way));
      body.pour(way, (bytes) => {
        receivedBytes = bytes;
        onProgress(receivedBytes, streamBytes);
      });
      return done;
    },
  );
  if (signal.aborted) return INTERRUPTED;
  if (feeding.kind === "broken") return brokenBy(feeding.error);
  if (!succeeded(end)) return failureOf(end);
  if (feeding.kind === "stdin_closed") {
    return fail("stream.invalid", "no usable stream: data follows its end");
  }
  return succeed({ receivedBytes, streamBytes });
}
