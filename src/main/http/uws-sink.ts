import type { HttpResponse } from "@btc-vision/uwebsockets.js";
import type { BodySink, BodySource } from "../../protocol/http/transport.js";

/**
 * uWebSockets.js cuts off a reader that takes nothing for 10 s, some builds later. One byte written
 * every 5 s re-arms its timer and waits in its buffer.
 */
const DRIP_INTERVAL_MS = 5_000;
/** Bytes held back until the end of a stream to drip from: enough for 20 minutes. */
const DRIP_RESERVE_BYTES = 256;
/** Of a live stream: its filler, of which there is always another. */
const LIVE_RESERVE_BYTES = 1;

/** Fits into the cork buffer of uWebSockets.js, 16 KiB, with the head of its chunk (docs/decisions/uws.md). */
export const PIECE_BYTES = 16 * 1024 - 256;

/** What a sink needs of the reply it belongs to. */
export interface StreamedReply {
  /** The response must not be touched any more. The sink sets this when it ends the reply. */
  isClosed: boolean;
  onDisconnect(listener: () => void): void;
}

/**
 * A body that holds back its last bytes until the end. So there is always a real byte to write,
 * both to keep a stalled reader's connection and to learn whether everything before it has left:
 * uWebSockets.js calls `onWritable` as soon as the socket has any room, and only a write shows
 * whether its buffer is empty.
 */
export function createUwsSink(
  response: HttpResponse,
  reply: StreamedReply,
  source: BodySource,
  onReady: () => void,
): BodySink {
  const reserve = source.isLive ? LIVE_RESERVE_BYTES : DRIP_RESERVE_BYTES;
  /** The last write is still, at least in part, in the buffer of uWebSockets.js. */
  let isBlocked = false;
  /** Ends the reply as soon as the sink is not blocked. Undefined until `end` is called. */
  let conclude: (() => void) | undefined;
  /** Runs only while the sink is blocked and the response may be touched. */
  let drip: NodeJS.Timeout | undefined;

  const stopDrip = () => {
    clearInterval(drip);
    drip = undefined;
  };
  /** Writes the next bytes, at most `limit`, and sets `isBlocked`. */
  const write = (limit: number): number => {
    const piece = source.peek(limit);
    response.cork(() => {
      isBlocked = !response.write(piece);
    });
    source.take(piece.length);
    // The socket may have taken everything in the meantime. Then onWritable is not called, so the
    // drip is also what finds out.
    if (isBlocked) drip ??= setInterval(probe, DRIP_INTERVAL_MS);
    else stopDrip();
    return piece.length;
  };
  /** Writes a single byte, unless it is the last one. */
  const writeByte = (): void => {
    if (source.available > (source.isLive ? 0 : 1)) write(1);
    else isBlocked = false;
  };
  const pump = (): number => {
    const bytes = Math.min(PIECE_BYTES, source.available - reserve);
    return isBlocked || reply.isClosed || bytes <= 0 ? 0 : write(bytes);
  };
  /** Continues if everything has left. Otherwise the byte that it wrote has re-armed the timer. */
  const probe = (): void => {
    if (reply.isClosed) return;
    writeByte();
    if (!isBlocked) (conclude ?? onReady)();
  };
  const writeRest = (): void => {
    reply.isClosed = true;
    stopDrip();
    const rest: Uint8Array[] = [];
    while (source.available > 0) {
      const piece = Buffer.from(source.peek(source.available));
      source.take(piece.length);
      rest.push(piece);
    }
    response.cork(() => response.end(Buffer.concat(rest)));
  };

  response.onWritable(() => {
    if (isBlocked) probe();
    return true;
  });
  reply.onDisconnect(stopDrip);

  return {
    get isBlocked() {
      return isBlocked;
    },
    pump,
    end: (onFlushed) => {
      conclude = () => {
        writeRest();
        onFlushed();
      };
      // The last piece may still be in the buffer: the byte written behind it shows.
      if (!reply.isClosed) probe();
    },
    reset: () => {
      if (reply.isClosed) return;
      stopDrip();
      response.close();
    },
  };
}
