import type { SecureContext } from "node:tls";
import { getReply, type Reply } from "../streams/http-get.js";
import { SilentStore } from "./store-failures.js";

interface SignedGetOptions {
  /** The byte that is the first one wanted. */
  readonly from: number;
  /** The request fails if nothing moves for this long. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  readonly secureContext: SecureContext | undefined;
}

/**
 * Reads an object by a URL that is signed, which nothing here shows. The chunks come in memory that is used again: each is
 * its reader's until the next one is asked for. Undefined: the store answers with something else, and the connection is
 * closed. Rejects, and breaks, as node:net and node:tls do, with a SilentStore, or with the signal's reason.
 */
export async function getSigned(
  url: string,
  { from, ...options }: SignedGetOptions,
): Promise<AsyncIterable<Buffer> | undefined> {
  const reply = await getReply(new URL(url), {
    ...options,
    connectMs: options.idleMs,
    lookup: undefined,
    headers: from === 0 ? {} : { range: `bytes=${from}-` },
    silent: (message) => new SilentStore(`the store went silent: ${message}`),
  });
  if (reply.statusCode === (from === 0 ? 200 : 206)) return lentPieces(reply);
  reply.destroy();
  return undefined;
}

async function* lentPieces({ body, destroy }: Reply): AsyncGenerator<Buffer> {
  const waiting: { readonly piece: Buffer; readonly done: () => void }[] = [];
  let ending: { readonly error: unknown } | "whole" | undefined;
  let wake = () => {};
  const end = (how: NonNullable<typeof ending>) => {
    ending = how;
    wake();
  };
  body.pour({
    onPiece: (piece, done) => {
      waiting.push({ piece, done });
      wake();
    },
    onEnd: () => end("whole"),
    onError: (error) => end({ error }),
  });
  try {
    for (;;) {
      const next = waiting.shift();
      if (next) {
        yield next.piece;
        next.done();
      } else if (ending === "whole") return;
      else if (ending) throw ending.error;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    destroy();
  }
}
