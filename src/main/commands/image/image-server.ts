import { once } from "node:events";
import { type FileHandle, realpath } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { messageOf } from "../../../protocol/storage/caught-error.js";
import { parseComponentId } from "../../../protocol/storage/names.js";
import { parseByteRange } from "./byte-range.js";
import { CommandFailure } from "./command-failure.js";
import { createDigests } from "./digests.js";
import { listImages, openImage, type StoredImage } from "./image-folder.js";

export interface ImageServiceOptions {
  /** The folder of images: files named ID, ID.zfs, ID.gz or ID.zfs.gz. */
  readonly dir: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface ImageService {
  /** The port it listens on. */
  readonly port: number;
  /** How many images the folder held at the start. */
  readonly images: number;
  /** Breaks the replies in progress. Resolves when every file is closed. */
  close(): Promise<void>;
}

const READ_BYTES = 256 * 1024;

function answerText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${text}\n`);
}

/** Reads `length` bytes of a file. Throws when the file has fewer. */
async function* readBytes(handle: FileHandle, start: number, length: number): AsyncGenerator<Buffer> {
  for (let offset = start; offset < start + length; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, start + length - offset));
    const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
    if (bytesRead === 0) throw new Error("the file became shorter while it was sent");
    yield piece.subarray(0, bytesRead);
    offset += bytesRead;
  }
}

/**
 * Passes bytes on. When their source fails, it resets the connection, so that the client
 * can't take the failure for the end of the image.
 */
async function* resettingOnFailure(
  bytes: AsyncIterable<Buffer>,
  response: ServerResponse,
): AsyncGenerator<Buffer> {
  try {
    yield* bytes;
  } catch (error) {
    response.socket?.resetAndDestroy();
    throw error;
  }
}

/** Answers GET and HEAD of an open image, in whole or in part. `sha256` is in base64. */
async function answerImage(
  request: IncomingMessage,
  response: ServerResponse,
  { handle, bytes, modified }: StoredImage,
  sha256: string,
): Promise<void> {
  const etag = `"${Buffer.from(sha256, "base64").toString("hex")}"`;
  const ifRange = request.headers["if-range"];
  const asksForPart = request.method === "GET" && (ifRange === undefined || ifRange === etag);
  const range = parseByteRange(asksForPart ? request.headers.range : undefined, bytes);
  const { start, end } = range.kind === "part" ? range : { start: 0, end: bytes };
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader("ETag", etag);
  if (range.kind === "unsatisfiable") {
    response.setHeader("Content-Range", `bytes */${bytes}`);
    answerText(response, 416, `the image has ${bytes} bytes, the range begins behind them`);
    return;
  }
  response.setHeader("Content-Type", "application/octet-stream");
  response.setHeader("Content-Length", end - start);
  response.setHeader("Last-Modified", modified.toUTCString());
  // The digest of the whole stored file, even when only a part is sent. Source: RFC 9530.
  response.setHeader("Repr-Digest", `sha-256=:${sha256}:`);
  if (range.kind === "part") {
    response.setHeader("Content-Range", `bytes ${start}-${end - 1}/${bytes}`);
  } else {
    // The older form, for clients that know only that. Source: RFC 3230.
    response.setHeader("Digest", `SHA-256=${sha256}`);
  }
  response.writeHead(range.kind === "part" ? 206 : 200);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  await pipeline(resettingOnFailure(readBytes(handle, start, end - start), response), response);
}

/** @returns the port, which the system chose when `port` is 0. */
async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { code, message }: NodeJS.ErrnoException = error;
    throw new CommandFailure(
      code === "EADDRINUSE"
        ? `port ${port} of ${host} is in use, choose another with --port`
        : `can't listen on ${host}:${port}: ${message}`,
    );
  }
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}

async function realFolder(dir: string): Promise<string> {
  try {
    // The dot makes realpath fail for anything that is not a folder.
    return await realpath(`${dir}/.`);
  } catch (error) {
    throw new CommandFailure(`no folder of images: ${messageOf(error)}`);
  }
}

/**
 * Serves the images of a folder, for development and tests. `/images/ID/download` supports
 * ranges and digests, `/images` lists all images. Files are sent as stored, and no file
 * outside the folder is sent. The first reply with an image waits for its digest.
 * Fails: a CommandFailure (no such folder, port in use).
 */
export async function startImageService({ dir, host, port }: ImageServiceOptions): Promise<ImageService> {
  const folder = await realFolder(dir);
  /** Aborted by `close`, to end the computation of digests. */
  const stopping = new AbortController();
  const digests = createDigests(stopping.signal);
  /** Every request in progress. Each closes its own file, so `close` waits for all of them. */
  const answers = new Set<Promise<void>>();

  async function answerDownload(request: IncomingMessage, response: ServerResponse, encoded: string) {
    let text: string;
    try {
      text = decodeURIComponent(encoded);
    } catch {
      return answerText(response, 400, "invalid id: damaged percent-encoding");
    }
    const id = parseComponentId(text);
    if (!id.ok) return answerText(response, 400, id.failure.message);
    const image = await openImage(folder, id.value);
    if (!image) return answerText(response, 404, `no such image: ${id.value}`);
    try {
      await answerImage(request, response, image, await digests.sha256(image));
    } finally {
      await image.handle.close();
    }
  }

  async function answerList(response: ServerResponse) {
    const images = (await listImages(folder)).map((image) => {
      const known = digests.known(image);
      const sha256 = known === undefined ? {} : { sha256: Buffer.from(known, "base64").toString("hex") };
      return { id: image.id, bytes: image.bytes, ...sha256 };
    });
    response.writeHead(200, { "Content-Type": "application/json; charset=utf-8" });
    response.end(`${JSON.stringify({ images })}\n`);
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = ""] = (request.url ?? "").replace(/^https?:\/\/[^/?]*/i, "").split("?");
    const [, encoded] = /^\/images\/([^/]*)\/download$/.exec(path) ?? [];
    if (encoded === undefined && path !== "/images") {
      return answerText(response, 404, "not found: images are at /images/ID/download, their list at /images");
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      return answerText(response, 405, "GET and HEAD only");
    }
    return encoded === undefined ? answerList(response) : answerDownload(request, response, encoded);
  }

  const server = createServer((request, response) => {
    const answered = answer(request, response)
      .catch((error: unknown) => {
        // After the headers a failure has already reset the connection.
        if (response.headersSent || response.destroyed) return;
        answerText(response, 500, `the image can't be read: ${messageOf(error)}`);
      })
      .finally(() => answers.delete(answered));
    answers.add(answered);
  });
  const images = (await listImages(folder)).length;
  const bound = await listen(server, host, port);
  return {
    port: bound,
    images,
    close: async () => {
      stopping.abort();
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
      await Promise.all(answers);
    },
  };
}
