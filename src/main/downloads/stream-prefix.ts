const BLOCK_BYTES = 64 * 1024;

/** A copy of the first bytes of a stream, for clients that join late. */
export interface StreamPrefix {
  readonly length: number;
  /** Copies the bytes that come next in the stream. */
  append(bytes: Uint8Array): void;
  /** The bytes from a position on, at most `limit`, in one piece. */
  view(position: number, limit: number): Uint8Array;
  /** Frees the memory. `view` returns nothing afterwards. */
  clear(): void;
}

export function createStreamPrefix(): StreamPrefix {
  let blocks: Uint8Array[] = [];
  let length = 0;
  return {
    get length() {
      return length;
    },
    append: (bytes) => {
      for (let done = 0; done < bytes.length; ) {
        const used = length % BLOCK_BYTES;
        if (used === 0) blocks.push(new Uint8Array(BLOCK_BYTES));
        const piece = bytes.subarray(done, done + BLOCK_BYTES - used);
        blocks.at(-1)?.set(piece, used);
        done += piece.length;
        length += piece.length;
      }
    },
    view: (position, limit) => {
      const start = position % BLOCK_BYTES;
      const block = blocks[Math.floor(position / BLOCK_BYTES)];
      return block?.subarray(start, start + Math.min(limit, length - position)) ?? new Uint8Array();
    },
    clear: () => {
      blocks = [];
    },
  };
}
