import { promisify } from "node:util";
import { deflate, deflateSync, gzip, gzipSync } from "node:zlib";
import Negotiator from "negotiator";

/** Up to this length, compressing takes less time than a trip to the thread pool. */
const SYNC_BYTES = 32 * 1024;
/** Replies are small or repetitive, so the fastest level saves nearly as much as the best. */
const LEVEL = { level: 1 };

const gzipAsync = promisify<string | Uint8Array, typeof LEVEL, Buffer>(gzip);
const deflateAsync = promisify<string | Uint8Array, typeof LEVEL, Buffer>(deflate);

/** A text, or its parts. */
type Text = string | readonly (string | Uint8Array)[];

export interface EncodedBody {
  readonly body: string | Buffer | readonly Uint8Array[];
  /** Undefined: not compressed. */
  readonly encoding: "gzip" | "deflate" | undefined;
}

/**
 * Compresses a body as its reader prefers: `accept` is its Accept-Encoding. A promise for a long
 * body, which is compressed in the thread pool.
 */
export type BodyEncoder = (text: Text, accept: string) => EncodedBody | Promise<EncodedBody>;

/**
 * Long bodies are compressed one after another: the thread pool also reads files and databases, and
 * a body in parts is put together only for as long as that takes.
 */
export function createBodyEncoder(): BodyEncoder {
  /** Settles when no body is being compressed. Never rejects. */
  let last: Promise<unknown> = Promise.resolve();
  return (text, accept) => {
    const encoding = accept === "" ? undefined : chooseEncoding(accept);
    if (encoding === undefined)
      return { body: typeof text === "string" ? text : text.map(toBytes), encoding };
    if (typeof text === "string" && text.length <= SYNC_BYTES) {
      return { body: encoding === "gzip" ? gzipSync(text, LEVEL) : deflateSync(text, LEVEL), encoding };
    }
    const encode = encoding === "gzip" ? gzipAsync : deflateAsync;
    const body = last.then(() =>
      encode(typeof text === "string" ? text : Buffer.concat(text.map(toBytes)), LEVEL),
    );
    last = body.catch(() => {});
    return body.then((bytes) => ({ body: bytes, encoding }));
  };
}

function toBytes(part: string | Uint8Array): Uint8Array {
  return typeof part === "string" ? Buffer.from(part) : part;
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
