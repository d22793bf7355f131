import { createHash } from "node:crypto";
import { addAbortSignal, Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { codeOf } from "../../protocol/storage/caught-error.js";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import { shownUrl } from "../../protocol/storage/image-hosts.js";
import type { FetchOrder, FetchReport, StreamAllowance } from "../../protocol/storage/operations.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { GZIP_HEAD_BYTES, isGzip } from "../../protocol/zfs-stream/gzip.js";
import { StreamFailure } from "../../protocol/zfs-stream/stream-failure.js";
import { createStreamGuard } from "../../protocol/zfs-stream/stream-guard.js";
import { startProcess } from "../processes/child-process.js";
import { failureOf } from "../processes/command-failures.js";
import { type CommandEnd, succeeded } from "../processes/run-command.js";
import type { Reply } from "./http-get.js";
import { openSource, SourceFailure } from "./http-source.js";
import type { ReplyBody } from "./reply-body.js";

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

/** The SHA-256 that the image service states, in hex. Source: RFC 9530 and the older RFC 3230. */
export function statedSha256(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): string | undefined {
  for (const name of ["content-digest", "repr-digest", "digest"]) {
    const value = headers[name];
    const found = /(?:^|[,\s])sha-256=:?([A-Za-z0-9+/]{43}=)/i.exec(String(value ?? ""));
    if (found?.[1]) return Buffer.from(found[1], "base64").toString("hex");
  }
  return undefined;
}

/** Codes of the errors that we get when a command closes its stdin before we have written everything. */
const STDIN_CLOSED: ReadonlySet<string> = new Set([
  "EPIPE",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_DESTROYED",
]);

/** How writing a stream to a command went. */
type Feeding =
  | { readonly kind: "complete" }
  /** The command didn't read to the end; its exit status and stderr say why. */
  | { readonly kind: "stdin_closed" }
  /** The stream broke on our side of the pipe. */
  | { readonly kind: "broken"; readonly error: unknown };

/** How much zlib gives at once: with its default, 16 KiB, handing it over costs more than inflating it. */
const INFLATED_BYTES = 256 * 1024;

/** The error of a write to a command that has failed. */
class CommandGone extends Error {
  readonly code = "ERR_STREAM_DESTROYED";
}

interface WayListener {
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

/**
 * Runs the receiving command; `feed` writes the stream to the way into its stdin. Resolves when the
 * process has ended.
 */
async function receive(
  { command: argv, allows }: Pick<FetchOrder, "command" | "allows">,
  children: ChildTable,
  feed: (way: Writable) => Promise<void>,
  { onStart, ...listener }: { readonly onStart: FetchOptions["onStart"] } & WayListener,
): Promise<{ end: CommandEnd; feeding: Feeding }> {
  const startedAt = performance.now();
  const command = startProcess(argv, { stdin: true, stdout: false }, children);
  onStart?.(command.pid);
  let feeding: Feeding = { kind: "complete" };
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
      // A killed receive leaves nothing behind; one whose input just ends might.
      if (feeding.kind === "broken") command.kill();
    }
  }
  const exit = await command.exited;
  const ms = performance.now() - startedAt;
  return { end: { argv, stdout: "", stderr: command.stderrText(), exit, ms }, feeding };
}

/** The failure of a transfer that broke before the command had everything. */
function transferFailure(error: unknown, url: string): FailedOutcome {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : "";
  if (error instanceof StreamFailure) {
    return fail("image.bad_stream", `no usable image: ${message}, url: ${url}`);
  }
  if (code.startsWith("Z_") || code === "ERR_Z") {
    return code === "Z_BUF_ERROR"
      ? fail("image.cut_short", `the image is cut short: ${message}, url: ${url}`)
      : fail("image.bad_stream", `no usable image: damaged gzip data (${message}), url: ${url}`);
  }
  if (error instanceof SourceFailure) {
    if (error.kind === "refused") return fail("image.source_refused", message);
    if (error.kind === "redirects") return fail("image.source_error", message);
    return fail("image.unreachable", `the image service went silent, url: ${url}`, message);
  }
  if (code.startsWith("HPE_")) {
    return fail("image.unreachable", `the image service's reply is no HTTP: ${message}, url: ${url}`);
  }
  if (code === "ECONNRESET") {
    return fail("image.cut_short", `the image is cut short: the connection broke, url: ${url}`, message);
  }
  return fail("image.unreachable", `the image can't be fetched: ${message || code}, url: ${url}`);
}

/** RFC 9110, section 10.2.3: seconds, or a date. @returns seconds from now; undefined if it says neither. */
function retryAfterOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}

/** A service that is busy or broken may answer later; one that lacks the image, or refuses, won't. */
function statusFailure({ statusCode, headers }: Reply, url: string): FailedOutcome {
  const message = `unexpected http response code: expected 200, received ${statusCode}, url: ${url}`;
  if (statusCode === 404 || statusCode === 410) return fail("image.source_not_found", message);
  const isTransient = statusCode >= 500 || statusCode === 408 || statusCode === 429;
  if (!isTransient) return fail("image.source_error", message);
  const { failure } = fail("image.http_status", message);
  const retryAfter = retryAfterOf(headers["retry-after"]);
  return { ok: false, failure: retryAfter === undefined ? failure : { ...failure, retryAfter } };
}

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
      if (length !== undefined) options.onLength?.(Number(length));
      return await receiveBody(options, reply.body, order.digest ?? statedSha256(reply.headers));
    } finally {
      reply.destroy();
    }
  } catch (error) {
    return signal.aborted ? INTERRUPTED : transferFailure(error, shownUrl(order.url));
  }
}

/** Writes a body to `way`, and ends it with the body or destroys it. */
function pourInto(body: ReplyBody, way: Writable, onIncoming: (piece: Buffer) => void): void {
  body.pour({
    onPiece: (piece, done) => {
      onIncoming(piece);
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
  const computed = hash?.digest("hex");
  if (computed !== digest) {
    return fail(
      "image.digest_mismatch",
      `the image's SHA-256 is ${computed}, expected ${digest}, url: ${url}`,
    );
  }
  return succeed({ receivedBytes, streamBytes });
}
