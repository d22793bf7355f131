import type { WriteStream } from "node:tty";
import { rateText, sizeText } from "../../diagnosis/text-layout.js";

/** Shows how far a transfer is whose length nobody knows, on a terminal. Writes nothing to a file or a pipe. */
export interface TransferProgress {
  /** So many bytes have come in all. */
  update(bytes: number): void;
  /** Clears the line. */
  end(): void;
}

const UPDATE_INTERVAL_MS = 200;
const CLEAR_LINE = "\r\x1b[K";

export function createTransferProgress(terminal: Pick<WriteStream, "isTTY" | "write">): TransferProgress {
  if (!terminal.isTTY) return { update: () => {}, end: () => {} };
  const startedAt = performance.now();
  /** When the line was last written. */
  let shownAt = startedAt;
  return {
    update: (bytes) => {
      const now = performance.now();
      if (now - shownAt < UPDATE_INTERVAL_MS) return;
      shownAt = now;
      terminal.write(`${CLEAR_LINE}${sizeText(bytes)}, ${rateText(bytes, now - startedAt)}`);
    },
    end: () => void terminal.write(CLEAR_LINE),
  };
}
