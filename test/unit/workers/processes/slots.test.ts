import { describe, expect, test } from "vitest";
import type { CommandEnd, CommandKind } from "../../../../src/workers/processes/run-command.js";
import { createKindSlots, limitCommands } from "../../../../src/workers/processes/slots.js";
import { turn } from "../../../support/until.js";

const COUNTS = { read: 5, hold: 2, change: 4, destroy: 3 } as const;

/** Commands that run until `end` is called, the oldest first. */
function controlled() {
  const running: { argv: readonly string[]; end(): void }[] = [];
  const run = limitCommands(
    createKindSlots(COUNTS),
    (argv) =>
      new Promise<CommandEnd>((resolve) => {
        const ended: CommandEnd = {
          argv,
          stdout: "",
          stderr: "",
          exit: { kind: "exited", code: 0 },
          ms: 0,
        };
        running.push({ argv, end: () => resolve(ended) });
      }),
    () => {},
  );
  const start = (kind: CommandKind, name: string) =>
    run([name], { timeoutMs: 1_000, stdoutBytes: 1_000 }, kind);
  return { running, start };
}

describe.each([
  ["limits.readCommands", "read"],
  ["limits.holdCommands", "hold"],
  ["limits.commands", "change"],
  ["limits.destroyCommands", "destroy"],
] as const)("%s", (_limit, kind) => {
  test("run at once; one more waits until one of them has ended, while other kinds run", async () => {
    const { running, start } = controlled();
    const most = COUNTS[kind];
    const all = Array.from({ length: most + 2 }, (_, index) => start(kind, `${index}`));
    await turn();
    const names = () => running.map(({ argv }) => argv[0]);
    expect(names()).toEqual(Array.from({ length: most }, (_, index) => `${index}`));
    const other = start(kind === "read" ? "hold" : "read", "other");
    await turn();
    expect(names().at(-1)).toBe("other");
    running.pop()?.end();
    await other;
    expect(running.length).toBe(most);
    // One ends, and the next one begins.
    running.shift()?.end();
    await all[0];
    await turn();
    expect(names()).toEqual(Array.from({ length: most }, (_, index) => `${index + 1}`));
    while (running.length > 0) {
      running.shift()?.end();
      await turn();
    }
    expect((await Promise.all(all)).length).toBe(most + 2);
  });
});
