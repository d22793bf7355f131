/** Writes buffers one after the other, while the next ones are filled. */
export interface WriteBehind {
  /**
   * Gives a buffer with any content, once there is a free one. Hand it to `put` before you take the next.
   * Rejects with what an earlier write threw.
   */
  take(): Promise<Buffer>;
  /** Runs `write` after the writes before it; the buffer is free when it ends. None runs after one has failed. */
  put(buffer: Buffer, write: () => Promise<void> | void): void;
  /** Resolves when everything is written. Rejects with what a write threw. */
  flush(): Promise<void>;
}

/** One is filled, one is written, and one waits. More did not make anything faster. */
const BUFFERS = 3;

export function createWriteBehind(bufferBytes: number): WriteBehind {
  /** The writes whose buffers were not taken again, in order; each resolves to its buffer. */
  const writes: Promise<Buffer>[] = [];
  /** How many buffers were made. The first takes make them, the later ones wait for the oldest write. */
  let made = 0;
  /** Settles when all writes that were put have ended, and rejects once one has failed. */
  let last: Promise<void> = Promise.resolve();

  return {
    async take() {
      if (made < BUFFERS) {
        made++;
        return Buffer.allocUnsafeSlow(bufferBytes);
      }
      const oldest = writes.shift();
      if (!oldest) throw new Error("take: the buffers before were not put");
      return oldest;
    },
    put(buffer, write) {
      last = last.then(write);
      const freed = last.then(() => buffer);
      // Nobody may be waiting when it fails. The error is not lost: `last` keeps it.
      freed.catch(() => {});
      writes.push(freed);
    },
    flush: () => last,
  };
}
