import { promisify } from "node:util";
import { deflate, deflateSync, gzip, gzipSync } from "node:zlib";
import Negotiator from "negotiator";

/** Up to this length, compressing takes less time than a trip to the thread pool. */
const SYNC_BYTES = 32 * 1024;
/** Replies are small or repetitive, so the fastest level saves nearly as much as the best. */
const LEVEL = { level: 1 };

const gzipAsync = promisify<string, typeof LEVEL, Buffer>(gzip);
const deflateAsync = promisify<string, typeof LEVEL, Buffer>(deflate);

export interface EncodedBody {
  readonly body: string | Buffer;
  /** Undefined: not compressed. */
  readonly encoding: "gzip" | "deflate" | undefined;
}

/** The content coding that an Accept-Encoding header prefers among those we support. */
function chooseEncoding(accept: string): EncodedBody["encoding"] {
  const [best] = new Negotiator({ headers: { "accept-encoding": accept } }).encodings([
    "gzip",
    "deflate",
    "identity",
  ]);
  return best === "gzip" || best === "deflate" ? best : undefined;
}

/** Compresses a body as its reader prefers. Long bodies are compressed in the thread pool: a promise. */
export function encodeBody(text: string, accept: string): EncodedBody | Promise<EncodedBody> {
  const encoding = accept === "" ? undefined : chooseEncoding(accept);
  if (encoding === undefined) return { body: text, encoding };
  if (text.length <= SYNC_BYTES) {
    return { body: encoding === "gzip" ? gzipSync(text, LEVEL) : deflateSync(text, LEVEL), encoding };
  }
  const body = encoding === "gzip" ? gzipAsync(text, LEVEL) : deflateAsync(text, LEVEL);
  return body.then((bytes) => ({ body: bytes, encoding }));
}
