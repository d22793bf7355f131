import { createReadStream, fstatSync } from "node:fs";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { detectGzip } from "../../../protocol/zfs-stream/gzip.js";
import { StreamFailure } from "../../../protocol/zfs-stream/stream-failure.js";

const READ_BYTES = 1024 * 1024;

function openBytes(file: string): Readable {
  if (file !== "-") return createReadStream(file, { highWaterMark: READ_BYTES });
  // A file is read in larger pieces than process.stdin would; a pipe must not block a thread.
  if (!fstatSync(0).isFile()) return process.stdin;
  return createReadStream("", { fd: 0, autoClose: false, highWaterMark: READ_BYTES });
}

async function* gunzipped(whole: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: READ_BYTES });
  // Whoever reads the far end is told.
  pipeline(whole, gunzip, () => {});
  let offset = 0;
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      yield piece;
      offset += piece.length;
    }
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (!code.startsWith("Z_") && code !== "ERR_Z") throw error;
    if (code === "Z_BUF_ERROR") throw new StreamFailure("truncated", offset, "its gzip data ends too early");
    throw new StreamFailure("corrupt", offset, `damaged gzip data (${message})`);
  }
}

/**
 * The bytes of a file, or of stdin for `-`, gunzipped when they are gzip by content.
 * Fails in iteration: with the error of the file, or with a StreamFailure for damaged
 * gzip data, its offset in gunzipped bytes.
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
