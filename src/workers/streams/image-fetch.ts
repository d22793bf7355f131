import { createHash } from "node:crypto";
import { addAbortSignal, type Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import type { SecureContext } from "node:tls";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { shownUrl } from "../../protocol/storage/image-hosts.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import type { HostSlots } from "../../protocol/threads/host-slots.js";
import type { FetchRepeats } from "../../protocol/threads/streaming-contract.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import { FetchFailure, transferFailure, wrongSize } from "./fetch-failures.js";
import { PartedGet } from "./parted-get.js";
import { receive } from "./receive-command.js";
import type { Begun } from "./repeated-get.js";
import { openUnpacker, PACKED_HEAD_BYTES } from "./unpacker.js";

interface FetchOptions {
  readonly order: FetchOrder;
  /** Time limit of connecting to the image service. */
  readonly connectMs: number;
  /** The fetch fails if no byte arrives for this long. */
  readonly idleMs: number;
  readonly repeats: FetchRepeats;
  /** How many parts of it are fetched at once; 1: it is fetched as a whole. */
  readonly ranges: number;
  /** What limits the requests at one host. */
  readonly hostSlots?: HostSlots;
  readonly secureContext?: SecureContext | undefined;
  readonly children: ChildTable;
  /** Called when the receiver has taken bytes. */
  onMoved?(): void;
  /** Ends the fetch, which then fails with service.interrupted. */
  readonly signal: AbortSignal;
  /** Called with the pid of the receiving command once it is started. */
  onStart?(pid: number | undefined): void;
  /** Called whenever bytes have come from the service or were given to the command. */
  onProgress?(receivedBytes: number, streamBytes: number): void;
  /** Called with the length of the body as transferred, if the service says it. */
  onLength?(totalBytes: number): void;
  /** Called before each request, with how many there have been, and how many of them because another one broke. */
  onRequest?(requests: number, repeats: number): void;
  /** Called when bytes have come that had come before, with how many did so far. */
  onRepeated?(repeatedBytes: number): void;
  /** Called when it goes on with an alternate of the order, with which one, from 1 on. */
  onAlternate?(alternate: number): void;
}

const INTERRUPTED = fail("service.interrupted", "the fetch was given up");

/**
 * Downloads an image and pipes it into the receiving command, unpacked if its first bytes say
 * gzip or zstd. Nothing is stored in between. Fails if the body is no stream, is cut short or differs
 * from the digest of the order or of the service; the caller removes what was received by then.
 */
export async function fetchImage(options: FetchOptions): Promise<Outcome<FetchReport>> {
  const { order, signal } = options;
  let [requests, repeats] = [0, 0];
  const get = new PartedGet({
    ...options,
    ...(order.isOnce && { repeats: { ...options.repeats, attempts: 1 }, ranges: 1 }),
    headers: order.headers,
    onRequest: (isRepeat) => {
      requests++;
      if (isRepeat) repeats++;
      options.onRequest?.(requests, repeats);
    },
    ...{ source: order, alternates: order.alternates ?? [] },
    ...{ isChecked: order.digest !== undefined, size: order.size },
  });
  try {
    // Resolves with the first bytes: no process starts before the service sends something.
    const begun = await get.begin(PACKED_HEAD_BYTES);
    const { length } = begun.facts;
    if (length !== undefined) options.onLength?.(length);
    return await receiveBody(options, get, begun);
  } catch (error) {
    return signal.aborted ? INTERRUPTED : transferFailure(error, shownUrl(order.url));
  } finally {
    get.close();
  }
}

type Pourable = Pick<PartedGet, "pour">;

/** Writes a body to `way`, and ends it with the body or destroys it. `onIncoming` says why to take no more. */
function pourInto(
  body: Pourable,
  way: Writable,
  onIncoming: (piece: Buffer) => FailedOutcome | undefined,
): void {
  body.pour({
    onPiece: (piece, done) => {
      const refusal = onIncoming(piece);
      if (refusal) way.destroy(new FetchFailure(refusal));
      way.write(piece, () => done());
    },
    onEnd: () => void way.end(),
    onError: (error) => void way.destroy(error instanceof Error ? error : new Error(String(error))),
  });
}

async function receiveBody(
  options: FetchOptions,
  body: Pourable,
  { head, facts }: Begun,
): Promise<Outcome<FetchReport>> {
  const { order, children, signal, onMoved, onProgress } = options;
  /** The SHA-256 that the body must have, in hex; undefined if nobody stated one. */
  const digest = order.digest ?? facts.digest;
  const url = shownUrl(order.url);
  let receivedBytes = 0;
  let streamBytes = 0;
  const hash = digest === undefined ? undefined : createHash("sha256");
  const onIncoming = (chunk: Buffer) => {
    receivedBytes += chunk.length;
    hash?.update(chunk);
    onProgress?.(receivedBytes, streamBytes);
    if (order.size === undefined || receivedBytes <= order.size) return undefined;
    return wrongSize(`more than ${order.size}`, order.size, url);
  };
  const feed = (way: Writable) => {
    const unpacker = openUnpacker(head, children);
    if (!unpacker) {
      pourInto(body, way, onIncoming);
      return finished(addAbortSignal(signal, way));
    }
    pourInto(body, unpacker.stream, onIncoming);
    return pipeline(unpacker.stream, way, { signal }).finally(() => unpacker.ended);
  };
  const onPassed = (passed: number) => {
    streamBytes = passed;
    onProgress?.(receivedBytes, streamBytes);
  };
  const { end, feeding } = await receive(
    { order, children, signal, onStart: options.onStart, onTaken: () => onMoved?.(), onPassed },
    feed,
  );
  if (signal.aborted) return INTERRUPTED;
  if (feeding.kind === "broken") return transferFailure(feeding.error, url);
  if (!succeeded(end)) return failureOf(end);
  if (feeding.kind === "stdin_closed") {
    // The command was content with less than the body: more bytes follow the end of the stream.
    return fail("image.bad_stream", `no usable image: data follows the end of the stream, url: ${url}`);
  }
  if (order.size !== undefined && receivedBytes !== order.size) {
    return wrongSize(String(receivedBytes), order.size, url);
  }
  const computed = hash?.digest("hex");
  if (computed !== digest) {
    return fail(
      "image.digest_mismatch",
      `the image's SHA-256 is ${computed}, expected ${digest}, url: ${url}`,
    );
  }
  return succeed({ receivedBytes, streamBytes });
}
