import type { WriteStream } from "node:tty";

/** Shows the progress of a long command on a terminal. Writes nothing to a file or a pipe. */
export interface Progress {
  update(bytes: number): void;
  /** Clears the line. */
  end(): void;
}

const UPDATE_INTERVAL_MS = 200;
const CLEAR_LINE = "\r\x1b[K";

/** `textOf`: the line for so many bytes, so long after the start. */
export function createProgressLine(
  terminal: Pick<WriteStream, "isTTY" | "write">,
  textOf: (bytes: number, ms: number) => string,
): Progress {
  if (!terminal.isTTY) return { update: () => {}, end: () => {} };
  const startedAt = performance.now();
  /** When the line was last written. */
  let shownAt = startedAt;
  return {
    update: (bytes) => {
      const now = performance.now();
      if (now - shownAt < UPDATE_INTERVAL_MS) return;
      shownAt = now;
      terminal.write(`${CLEAR_LINE}${textOf(bytes, now - startedAt)}`);
    },
    end: () => {
      terminal.write(CLEAR_LINE);
    },
  };
}

/** `totalBytes` are 100 per cent. */
export function createProgress(totalBytes: number, terminal: WriteStream): Progress {
  return createProgressLine(terminal, (bytes, ms) => {
    const percent = Math.floor((bytes / totalBytes) * 100);
    return `${percent} %, ${Math.round(bytes / 1000 / ms)} MB/s`;
  });
}
