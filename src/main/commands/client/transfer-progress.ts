import type { WriteStream } from "node:tty";
import { rateText, sizeText } from "../../diagnosis/text-layout.js";
import { createProgressLine, type Progress } from "../image/progress.js";

/** Shows how far a transfer is whose length nobody knows. */
export function createTransferProgress(terminal: Pick<WriteStream, "isTTY" | "write">): Progress {
  return createProgressLine(terminal, (bytes, ms) => `${sizeText(bytes)}, ${rateText(bytes, ms)}`);
}
