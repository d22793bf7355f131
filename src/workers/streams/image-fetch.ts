import { createHash } from "node:crypto";
import { type Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Agent, interceptors, request } from "undici";
import { type FailedOutcome, fail, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { detectGzip } from "../../protocol/zfs-stream/gzip.js";
import { startProcess } from "../processes/child-process.js";
import { failureOf } from "../processes/command-failures.js";
import type { CommandEnd } from "../processes/run-command.js";
import { RefusedStream, withCheckedHeader } from "./stream-header.js";

export interface FetchOptions {
  readonly order: FetchOrder;
  readonly connectMs: number;
  readonly idleMs: number;
  readonly children: ChildTable;
  readonly signal: AbortSignal;
}

const MAX_REDIRECTS = 10;

/** The digest that the image service states, in hex. Source: RFC 9530 and the older RFC 3230. */
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

/** Counts and hashes what passes. */
async function* observed(
  body: AsyncIterable<Buffer>,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    onChunk(chunk);
    yield chunk;
  }
}

/** Errors of a pipe whose reader has gone: what the reader says counts, not they. */
const READER_GONE = new Set(["EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"]);

/** How feeding a command went: `error` is ours unless `readerGone`. */
interface Fed {
  readonly error: unknown;
  readonly readerGone: boolean;
}

/**
 * A way into `stdin` that does not close it when it is given up: a command that sees
 * the end of its input may take what came for all, so it must be killed first.
 */
function withoutEnd(stdin: Writable): Writable {
  stdin.on("error", () => {});
  return new Writable({
    write: (chunk, _encoding, done) => {
      stdin.write(chunk, done);
    },
    final: (done) => {
      stdin.end(done);
    },
  });
}

/** Runs the receiving command on a stream; settles when the process is gone. */
async function receive(
  argv: readonly string[],
  children: ChildTable,
  feed: (stdin: Writable) => Promise<void>,
): Promise<{ end: CommandEnd; fed: Fed }> {
  const startedAt = performance.now();
  const command = startProcess(argv, { stdin: true, stdout: false }, children);
  let fed: Fed = { error: undefined, readerGone: false };
  // A command that fails must not wait for a slow image service to notice.
  void command.exited.then((exit) => {
    if (exit.kind !== "exited" || exit.code !== 0) command.stdin?.destroy();
  });
  if (command.stdin) {
    try {
      await feed(withoutEnd(command.stdin));
    } catch (error) {
      fed = { error, readerGone: READER_GONE.has((error as NodeJS.ErrnoException).code ?? "") };
      // Our side ended early: a killed receive leaves nothing, one that is fed an end might not.
      if (!fed.readerGone) command.kill();
    }
  }
  const exit = await command.exited;
  const ms = performance.now() - startedAt;
  return { end: { argv, stdout: "", stderr: command.stderrText(), exit, ms }, fed };
}

function transferFailure(error: unknown, url: string): FailedOutcome {
  const { code = "", message = "" } = error as NodeJS.ErrnoException;
  if (error instanceof RefusedStream)
    return fail("image.bad_stream", `no usable image: ${message}, url: ${url}`);
  if (code.startsWith("Z_") || code === "ERR_Z") {
    return code === "Z_BUF_ERROR"
      ? fail("image.cut_short", `the image is cut short: ${message}, url: ${url}`)
      : fail("image.bad_stream", `no usable image: damaged gzip data (${message}), url: ${url}`);
  }
  if (code === "UND_ERR_BODY_TIMEOUT" || code === "UND_ERR_HEADERS_TIMEOUT") {
    return fail("image.unreachable", `the image service went silent, url: ${url}`, message);
  }
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH") {
    return fail("image.cut_short", `the image is cut short: the connection broke, url: ${url}`, message);
  }
  return fail("image.unreachable", `the image can't be fetched: ${message || code}, url: ${url}`);
}

/**
 * Pipes the body of an image, gunzipped if it is gzip by content, into `zfs receive`.
 * Nothing is kept in a file. A body that is no stream, is cut short or has another
 * digest than the service states gives a failure; what was received by then is the
 * caller's to remove.
 */
export async function fetchImage(options: FetchOptions): Promise<Outcome<FetchReport>> {
  const { order, signal, children } = options;
  const { url } = order;
  const agent = new Agent({
    connect: { timeout: options.connectMs },
    headersTimeout: options.idleMs,
    bodyTimeout: options.idleMs,
  });
  try {
    const dispatcher = agent.compose(interceptors.redirect({ maxRedirections: MAX_REDIRECTS }));
    const response = await request(url, { dispatcher, signal, headers: { accept: "*/*" } });
    if (response.statusCode !== 200) {
      response.body.on("error", () => {}).destroy();
      return fail(
        "image.http_status",
        `unexpected http response code: expected 200, received ${response.statusCode}, url: ${url}`,
      );
    }
    return await receiveBody(options, response.body, order.digest ?? statedSha256(response.headers));
  } catch (error) {
    if (signal.aborted) return fail("service.interrupted", "the fetch was given up");
    return transferFailure(error, url);
  } finally {
    await agent.destroy().catch(() => {});
  }

  async function receiveBody(
    { order: { command } }: FetchOptions,
    body: Readable,
    digest: string | undefined,
  ): Promise<Outcome<FetchReport>> {
    let receivedBytes = 0;
    let streamBytes = 0;
    const hash = digest === undefined ? undefined : createHash("sha256");
    const incoming = observed(body, (chunk) => {
      receivedBytes += chunk.length;
      hash?.update(chunk);
    });
    // The process is started when the first bytes are there, or known not to come.
    const { gzipped, whole } = await detectGzip(incoming);
    const count = (stream: AsyncIterable<Buffer>) =>
      observed(withCheckedHeader(stream), (chunk) => {
        streamBytes += chunk.length;
      });
    const { end, fed } = await receive(command, children, (stdin) =>
      gzipped
        ? pipeline(whole, createGunzip(), count, stdin, { signal })
        : pipeline(whole, count, stdin, { signal }),
    );
    body.on("error", () => {}).destroy();
    if (signal.aborted) return fail("service.interrupted", "the fetch was given up");
    if (fed.error !== undefined && !fed.readerGone) return transferFailure(fed.error, url);
    if (end.exit.kind !== "exited" || end.exit.code !== 0) return failureOf(end);
    if (fed.readerGone) {
      // The command was content before the end: bytes behind a stream's end are no part of it.
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
}
