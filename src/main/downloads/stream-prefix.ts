const BLOCK_BYTES = 64 * 1024;

/** The beginning of a stream, kept for those who come late. */
export interface Beginning {
  readonly length: number;
  /** Copies what comes next. */
  append(bytes: Uint8Array): void;
  /** The bytes from a position on, `limit` at most, in one piece. */
  view(position: number, limit: number): Uint8Array;
  /** Nobody needs it any more. */
  clear(): void;
}

export function createBeginning(): Beginning {
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
        const part = bytes.subarray(done, done + BLOCK_BYTES - used);
        blocks.at(-1)?.set(part, used);
        done += part.length;
        length += part.length;
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
