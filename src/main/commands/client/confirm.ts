import { createInterface } from "node:readline/promises";
import { printable } from "../../diagnosis/text-layout.js";
import { CallFailure, EXIT } from "./call-failure.js";
import type { Destruction } from "./destruction.js";

const NAMES_SHOWN = 10;

/** Whether there is somebody to ask. A script without a terminal is not asked anything. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** A question that tells what goes. */
export function questionOf({ sentence, names }: Destruction): string {
  const more = names.length - NAMES_SHOWN;
  const lines = [
    `${sentence}${names.length > 0 ? ":" : "."}`,
    ...names.slice(0, NAMES_SHOWN).map((name) => `  ${name}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
  return `${lines.map(printable).join("\n")}\nGo on? [y/N] `;
}

/** Resolves if the user agrees. Rejects with a CallFailure if not; Ctrl-C ends the process. */
export async function confirm(destruction: Destruction): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  terminal.on("SIGINT", () => {
    process.stderr.write("\n");
    process.exit(EXIT.interrupted);
  });
  // Ctrl-D closes it without an answer.
  const closed = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  const answer = await Promise.race([terminal.question(questionOf(destruction)), closed]);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new CallFailure("nothing was done", EXIT.other);
}
