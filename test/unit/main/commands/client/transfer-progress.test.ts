import { expect, test, vi } from "vitest";
import {
  createTransferProgress,
  transferText,
} from "../../../../../src/main/commands/client/transfer-progress.js";

function terminal(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, write: (text: string | Uint8Array) => written.push(String(text)) > 0 };
}

test("a terminal gets bytes and rate now and then, and its line is cleared", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const shown = terminal(true);
  const progress = createTransferProgress(shown);
  progress.update(1);
  vi.advanceTimersByTime(2_000);
  progress.update(3 * 1_048_576);
  progress.update(4 * 1_048_576);
  progress.end();
  vi.useRealTimers();
  expect(shown.written).toEqual(["\r\x1b[K3.0 MiB, 1.5 MiB/s", "\r\x1b[K"]);
});

test("a file or a pipe gets nothing", () => {
  const quiet = terminal(false);
  const progress = createTransferProgress(quiet);
  progress.update(1);
  progress.end();
  expect(quiet.written).toEqual([]);
});

test("what comes of an estimate is marked, and never says that all is there", () => {
  const GIB = 2 ** 30;
  expect(transferText(GIB, 10_000, 4 * GIB)).toBe(
    "[=====               ] ~25 %, 1.0 GiB of ~4.0 GiB, 102.4 MiB/s, ~30.0 s left",
  );
  expect(transferText(0, 0, GIB)).toBe("[                    ] ~0 %, 0 B of ~1.0 GiB, -");
  expect(transferText(2 * GIB, 1_000, GIB)).toBe(
    "[=================== ] ~99 %, 2.0 GiB of ~1.0 GiB, 2.0 GiB/s",
  );
});
