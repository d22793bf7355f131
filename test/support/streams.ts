import type { HttpReply } from "../../src/main/http/transport.js";

const FRAME_BYTES = 65_536;

/** Bytes of which each four tell where they stand; `start` and `length` in fours. */
export function patterned(start: number, length: number): Buffer {
  const frame = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) frame.writeUInt32LE((start + at) / 4, at);
  return frame;
}

export interface PatternedStream {
  written(): number;
  flushed(): boolean;
}

/** Streams `total` patterned bytes as downloads do: no frame before the one before has been taken. */
export function streamTo(reply: HttpReply, total: number): PatternedStream {
  const sink = reply.stream(200, [["Content-Type", "application/octet-stream"]]);
  let written = 0;
  let ended = false;
  let flushed = false;
  const more = (): void => {
    while (written < total) {
      const frame = patterned(written, Math.min(FRAME_BYTES, total - written));
      written += frame.length;
      if (!sink.write(frame)) return;
    }
    if (ended) return;
    ended = true;
    sink.end(() => {
      flushed = true;
    });
  };
  sink.onReady(more);
  more();
  return { written: () => written, flushed: () => flushed };
}
