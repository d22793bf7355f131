import { once } from "node:events";
import { type FileHandle, realpath } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { parseComponentId } from "../../../protocol/storage/names.js";
import { parseByteRange } from "./byte-range.js";
import { CommandFailure } from "./command-failure.js";
import { createDigests } from "./digests.js";
import { listImages, openImage, type StoredImage } from "./image-folder.js";

export interface ImageServiceOptions {
  /** The folder of images: files ID, ID.zfs, ID.gz or ID.zfs.gz. */
  readonly dir: string;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface ImageService {
  readonly port: number;
  /** How many images the folder held at the start. */
  readonly images: number;
  /** Breaks what is under way; settles when no descriptor is left. */
  close(): Promise<void>;
}

const READ_BYTES = 256 * 1024;

function answerText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${text}\n`);
}

/** `length` bytes of a file. Throws when there are fewer. */
async function* bytesOf(handle: FileHandle, start: number, length: number): AsyncGenerator<Buffer> {
  for (let offset = start; offset < start + length; ) {
    const piece = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, start + length - offset));
    const { bytesRead } = await handle.read(piece, 0, piece.length, offset);
    if (bytesRead === 0) throw new Error("the file became shorter while it was sent");
    yield piece.subarray(0, bytesRead);
    offset += bytesRead;
  }
}

/** The same bytes; a failure to get them resets the connection, so that no client takes it for the end. */
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

/** Answers GET and HEAD of an image that is open, in whole or in part. */
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
  // Of the whole file as stored, whatever part is sent. Source: RFC 9530, and RFC 3230 before it.
  response.setHeader("Repr-Digest", `sha-256=:${sha256}:`);
  if (range.kind === "part") {
    response.setHeader("Content-Range", `bytes ${start}-${end - 1}/${bytes}`);
  } else {
    response.setHeader("Digest", `SHA-256=${sha256}`);
  }
  response.writeHead(range.kind === "part" ? 206 : 200);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  await pipeline(resettingOnFailure(bytesOf(handle, start, end - start), response), response);
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandFailure(
      code === "EADDRINUSE"
        ? `port ${port} of ${host} is in use, choose another with --port`
        : `can't listen on ${host}:${port}: ${message}`,
    );
  }
  return (server.address() as AddressInfo).port;
}

async function realFolder(dir: string): Promise<string> {
  try {
    return await realpath(`${dir}/.`);
  } catch (error) {
    throw new CommandFailure(`no folder of images: ${(error as Error).message}`);
  }
}

/**
 * Serves the images of a folder, for development and tests: `/images/ID/download` with
 * ranges and digests, and `/images`, the list. Files are sent as stored, and nothing
 * outside the folder is. The digest of an image is computed before its first answer.
 * Rejects with a CommandFailure: no such folder, port in use.
 */
export async function startImageService({ dir, host, port }: ImageServiceOptions): Promise<ImageService> {
  const folder = await realFolder(dir);
  const stopping = new AbortController();
  const digests = createDigests(stopping.signal);
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
        // Behind the headers the connection is broken by now.
        if (response.headersSent || response.destroyed) return;
        answerText(response, 500, `the image can't be read: ${(error as Error).message}`);
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
