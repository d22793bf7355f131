import { createReadStream, fstatSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { allPlaces, fileReader, readPieces } from "../../../protocol/raw-disk/disk-pieces.js";
import { detectGzip } from "../../../protocol/zfs-stream/gzip.js";
import { StreamFailure } from "../../../protocol/zfs-stream/stream-failure.js";

const READ_BYTES = 1024 * 1024;

interface OpenBytes {
  readonly pieces: AsyncIterable<Buffer>;
  /** Also while a piece is waited for. */
  close(): Promise<void>;
}

/** Reads a file to its end, some MiB ahead. A piece is valid until the next one is taken. */
async function* readToEnd(file: FileHandle): AsyncGenerator<Buffer> {
  for await (const { data } of readPieces(fileReader(file), allPlaces(READ_BYTES), READ_BYTES)) {
    if (data.length > 0) yield data;
    if (data.length < READ_BYTES) return;
  }
}

async function openFile(path: string): Promise<OpenBytes> {
  const file = await open(path, "r");
  const pieces = readToEnd(file);
  const close = async () => {
    await pieces.return(undefined);
    await file.close();
  };
  return { pieces, close };
}

/** For what can only be read from its begin to its end: a pipe, a FIFO. */
function openStream(pieces: Readable): OpenBytes {
  return { pieces, close: async () => void pieces.destroy() };
}

async function openBytes(path: string): Promise<OpenBytes> {
  if (path === "-") {
    // process.stdin reads a file in small pieces. For a pipe it is right: a read stream would block a thread.
    const isFile = fstatSync(0).isFile();
    const options = { fd: 0, autoClose: false, highWaterMark: READ_BYTES };
    return openStream(isFile ? createReadStream("", options) : process.stdin);
  }
  if ((await stat(path)).isFile()) return openFile(path);
  return openStream(createReadStream(path, { highWaterMark: READ_BYTES }));
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
 * whose offset counts gunzipped bytes. A piece is valid until the next one is taken.
 */
export async function* openStreamSource(file: string): AsyncGenerator<Buffer> {
  const { pieces, close } = await openBytes(file);
  try {
    const { gzipped, whole } = await detectGzip(pieces);
    yield* gzipped ? gunzipped(whole) : whole;
  } finally {
    await close();
  }
}
