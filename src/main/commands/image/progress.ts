import type { WriteStream } from "node:tty";

/** Shows the progress of a long command on a terminal. Writes nothing to a file or a pipe. */
export interface Progress {
  update(bytes: number): void;
  /** Clears the line. */
  end(): void;
}

const UPDATE_INTERVAL_MS = 200;
const CLEAR_LINE = "\r\x1b[K";

/** `totalBytes` are 100 per cent. */
export function createProgress(totalBytes: number, terminal: WriteStream): Progress {
  if (!terminal.isTTY) return { update: () => {}, end: () => {} };
  const startedAt = performance.now();
  /** When the line was last written. */
  let shownAt = startedAt;
  return {
    update: (bytes) => {
      const now = performance.now();
      if (now - shownAt < UPDATE_INTERVAL_MS) return;
      shownAt = now;
      const percent = Math.floor((bytes / totalBytes) * 100);
      const megabytes = Math.round(bytes / 1000 / (now - startedAt));
      terminal.write(`${CLEAR_LINE}${percent} %, ${megabytes} MB/s`);
    },
    end: () => {
      terminal.write(CLEAR_LINE);
    },
  };
}
