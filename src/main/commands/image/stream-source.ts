import { createReadStream, fstatSync } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { detectGzip } from "../../../protocol/zfs-stream/gzip.js";
import { StreamFailure } from "../../../protocol/zfs-stream/stream-failure.js";

const READ_BYTES = 1024 * 1024;

function openBytes(file: string): Readable {
  if (file !== "-") return createReadStream(file, { highWaterMark: READ_BYTES });
  // process.stdin reads a file in small pieces. For a pipe it is right: a read stream would block a thread.
  if (!fstatSync(0).isFile()) return process.stdin;
  return createReadStream("", { fd: 0, autoClose: false, highWaterMark: READ_BYTES });
}

async function* gunzipped(whole: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: READ_BYTES });
  // The callback may ignore errors: pipeline destroys gunzip with the error, so the loop below throws it.
  pipeline(whole, gunzip, () => {});
  const pieces: AsyncIterable<Buffer> = gunzip;
  let offset = 0;
  try {
    for await (const piece of pieces) {
      yield piece;
      offset += piece.length;
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { code = "", message }: NodeJS.ErrnoException = error;
    if (!code.startsWith("Z_") && code !== "ERR_Z") throw error;
    if (code === "Z_BUF_ERROR") throw new StreamFailure("truncated", offset, "its gzip data ends too early");
    throw new StreamFailure("corrupt", offset, `damaged gzip data (${message})`);
  }
}

/**
 * Reads a file, or stdin for `-`. Gunzips it if its first bytes are those of gzip.
 * The iteration throws the error of the file, or a StreamFailure for damaged gzip data,
 * whose offset counts gunzipped bytes.
 */
export async function* openStreamSource(file: string): AsyncGenerator<Buffer> {
  const bytes = openBytes(file);
  try {
    const { gzipped, whole } = await detectGzip(bytes);
    yield* gzipped ? gunzipped(whole) : whole;
  } finally {
    bytes.destroy();
  }
}
