import type { BodySource, HttpReply } from "../../src/protocol/http/transport.js";

/** Bytes in which each group of four is its own index. `start` and `length` are multiples of four. */
export function patterned(start: number, length: number): Buffer {
  const frame = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) frame.writeUInt32LE((start + at) / 4, at);
  return frame;
}

export interface PatternedStream {
  written(): number;
  flushed(): boolean;
  isBlocked(): boolean;
  reset(): void;
}

/** The most bytes that are available at once, as with downloads. */
const WINDOW_BYTES = 65_536;

/** Streams `total` patterned bytes as downloads do: the memory of bytes is reused once they are taken. */
export function streamTo(reply: HttpReply, total: number): PatternedStream {
  let written = 0;
  let flushed = false;
  let hasEnded = false;
  const memory = new Uint8Array(new SharedArrayBuffer(WINDOW_BYTES));
  const source: BodySource = {
    get available() {
      return Math.min(total - written, WINDOW_BYTES);
    },
    peek: (limit) => {
      const length = Math.min(limit, source.available);
      const before = written % 4;
      const fours = patterned(written - before, 4 * Math.ceil((before + length) / 4));
      memory.set(fours.subarray(before, before + length));
      return memory.subarray(0, length);
    },
    take: (bytes) => {
      memory.fill(0xee, 0, bytes);
      written += bytes;
    },
  };
  const more = (): void => {
    while (sink.pump() > 0);
    if (sink.isBlocked || hasEnded) return;
    hasEnded = true;
    sink.end(() => {
      flushed = true;
    });
  };
  const headers = [
    ["Content-Type", "application/octet-stream"],
    ["X-Kind", "stream"],
  ] as const;
  const sink = reply.stream(200, headers, source, more);
  more();
  return {
    written: () => written,
    flushed: () => flushed,
    isBlocked: () => sink.isBlocked,
    reset: sink.reset,
  };
}
