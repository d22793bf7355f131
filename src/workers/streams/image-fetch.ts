import { createHash } from "node:crypto";
import { addAbortSignal, type Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { shownUrl } from "../../protocol/storage/image-hosts.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { GZIP_HEAD_BYTES, isGzip } from "../../protocol/zfs-stream/gzip.js";
import { failureOf } from "../processes/command-failures.js";
import { succeeded } from "../processes/run-command.js";
import { FetchFailure, statusFailure, transferFailure, wrongSize } from "./fetch-failures.js";
import { openSource } from "./http-source.js";
import { receive } from "./receive-command.js";
import type { ReplyBody } from "./reply-body.js";
import { statedSha256 } from "./stated-digest.js";

interface FetchOptions {
  readonly order: FetchOrder;
  /** Time limit of connecting to the image service. */
  readonly connectMs: number;
  /** The fetch fails if no byte arrives for this long. */
  readonly idleMs: number;
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
}

/** How much zlib gives at once: with its default, 16 KiB, handing it over costs more than inflating it. */
const INFLATED_BYTES = 256 * 1024;

const INTERRUPTED = fail("service.interrupted", "the fetch was given up");

/**
 * Downloads an image and pipes it into the receiving command, gunzipped if its first bytes say
 * gzip. Nothing is stored in between. Fails if the body is no stream, is cut short or differs
 * from the digest of the order or of the service; the caller removes what was received by then.
 */
export async function fetchImage(options: FetchOptions): Promise<Outcome<FetchReport>> {
  const { order, signal } = options;
  try {
    const { reply, url } = await openSource(order.url, {
      hosts: order.hosts,
      headers: order.headers,
      ...options,
    });
    try {
      if (reply.statusCode !== 200) return statusFailure(reply, shownUrl(url));
      const { "content-length": length } = reply.headers;
      if (length !== undefined) {
        if (order.size !== undefined && Number(length) !== order.size)
          return wrongSize(length, order.size, shownUrl(url));
        options.onLength?.(Number(length));
      }
      return await receiveBody(options, reply.body, order.digest ?? statedSha256(reply.headers));
    } finally {
      reply.destroy();
    }
  } catch (error) {
    return signal.aborted ? INTERRUPTED : transferFailure(error, shownUrl(order.url));
  }
}

/** Writes a body to `way`, and ends it with the body or destroys it. `onIncoming` says why to take no more. */
function pourInto(
  body: ReplyBody,
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

/** `digest`: the SHA-256 that the body must have, in hex; undefined if nobody stated one. */
async function receiveBody(
  options: FetchOptions,
  body: ReplyBody,
  digest: string | undefined,
): Promise<Outcome<FetchReport>> {
  const { order, children, signal, onMoved, onProgress } = options;
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
  // Resolves with the first bytes: no process starts before the service sends something.
  const head = await body.first(GZIP_HEAD_BYTES);
  const feed = (way: Writable) => {
    if (!isGzip(head)) {
      pourInto(body, way, onIncoming);
      return finished(addAbortSignal(signal, way));
    }
    const gunzip = createGunzip({ chunkSize: INFLATED_BYTES });
    pourInto(body, gunzip, onIncoming);
    return pipeline(gunzip, way, { signal });
  };
  const { end, feeding } = await receive(order, children, feed, {
    onStart: options.onStart,
    onTaken: () => onMoved?.(),
    onPassed: (passed) => {
      streamBytes = passed;
      onProgress?.(receivedBytes, streamBytes);
    },
  });
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
