import { setTimeout as sleep } from "node:timers/promises";
import { createScreen } from "../terminal/screen.js";
import { CallFailure, EXIT } from "./call-failure.js";

const CLEAR_ALL = "\x1b[H\x1b[2J";
/** What may be over at the next look. */
const PASSING: readonly number[] = [EXIT.unreachable, EXIT.tryAgain];

/**
 * Prints lines again and again. On a terminal they stay in one place, fit it, and a daemon that does not
 * answer now is told there and asked again; elsewhere it ends the watch.
 */
export async function watchLines(seconds: number, look: () => Promise<readonly string[]>): Promise<never> {
  const { stdout } = process;
  const screen = stdout.isTTY ? createScreen(stdout) : undefined;
  stdout.write(screen ? CLEAR_ALL : "");
  for (;;) {
    const lines = await look().catch((error: unknown) => {
      if (screen && error instanceof CallFailure && PASSING.includes(error.exitStatus))
        return [error.message];
      throw error;
    });
    if (screen) screen.draw(lines);
    else stdout.write(lines.map((line) => `${line}\n`).join(""));
    await sleep(seconds * 1_000);
  }
}
