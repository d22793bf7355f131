import type { WriteStream } from "node:tty";
import { ageText, rateText, sizeText } from "../../diagnosis/text-layout.js";
import { createProgressLine, type Progress } from "../image/progress.js";
import { barText } from "../terminal/bar.js";

/**
 * Shows how far a transfer is whose length nobody knows for sure. `estimatedBytes`: about how long it is, once that
 * is known. What comes of an estimate has a `~`, and never says that all is there.
 */
export function createTransferProgress(
  terminal: Pick<WriteStream, "isTTY" | "write">,
  estimatedBytes: () => number | undefined = () => undefined,
): Progress {
  return createProgressLine(terminal, (bytes, ms) => transferText(bytes, ms, estimatedBytes()));
}

/** `[=====               ] ~25 %, 1.0 GiB of ~4.0 GiB, 80.0 MiB/s, ~38.4 s left`, or what of it is known. */
export function transferText(bytes: number, ms: number, estimated: number | undefined): string {
  const rate = rateText(bytes, ms);
  if (estimated === undefined) return `${sizeText(bytes)}, ${rate}`;
  const share = Math.min(0.99, bytes / estimated);
  const left = bytes > 0 && bytes < estimated ? (ms / bytes) * (estimated - bytes) : undefined;
  return [
    `${barText(share)} ~${Math.floor(share * 100)} %`,
    `${sizeText(bytes)} of ~${sizeText(estimated)}`,
    rate,
    ...(left === undefined ? [] : [`~${ageText(left)} left`]),
  ].join(", ");
}
