import type { WriteStream } from "node:tty";

/** How far a long run is, on a terminal; nothing is written to anything else. */
export interface Progress {
  update(bytes: number): void;
  /** Wipes the line. */
  end(): void;
}

const PAUSE_MS = 200;
const WIPE = "\r\x1b[K";

/** @param totalBytes what 100 percent are. */
export function createProgress(totalBytes: number, terminal: WriteStream): Progress {
  if (!terminal.isTTY) return { update: () => {}, end: () => {} };
  const startedAt = performance.now();
  let shownAt = startedAt;
  return {
    update: (bytes) => {
      const now = performance.now();
      if (now - shownAt < PAUSE_MS) return;
      shownAt = now;
      const percent = Math.floor((bytes / totalBytes) * 100);
      const megabytes = Math.round(bytes / 1000 / (now - startedAt));
      terminal.write(`${WIPE}${percent} %, ${megabytes} MB/s`);
    },
    end: () => {
      terminal.write(WIPE);
    },
  };
}
