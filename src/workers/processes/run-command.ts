import type { ChildTable } from "../../protocol/threads/child-table.js";
import { type ProcessExit, startProcess } from "./child-process.js";
import type { Slots } from "./slots.js";

/** How a command ended. Its text is bounded, its time too. */
export interface CommandEnd {
  readonly argv: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
  readonly exit:
    | ProcessExit
    /** Its runner died: nobody knows what became of it. */
    | { readonly kind: "lost" }
    | { readonly kind: "timed_out"; readonly afterMs: number }
    | { readonly kind: "too_much_output"; readonly limitBytes: number };
  readonly ms: number;
  /** How long the spawn alone took. */
  readonly spawnMs?: number;
}

/** Whether the command ended by itself, with exit status 0. */
export function succeeded({ exit }: Pick<CommandEnd, "exit">): boolean {
  return exit.kind === "exited" && exit.code === 0;
}

export interface CommandLimits {
  readonly timeoutMs: number;
  readonly stdoutBytes: number;
  /** What the command reads; without it, nothing. */
  readonly stdin?: string;
}

export type RunCommand = (argv: readonly string[], limits: CommandLimits) => Promise<CommandEnd>;

/** Runs commands in slots, and reports the end of each to `onEnd`. */
export function limitCommands(slots: Slots, run: RunCommand, onEnd: (end: CommandEnd) => void): RunCommand {
  return (argv, limits) =>
    slots.use(async () => {
      const end = await run(argv, limits);
      onEnd(end);
      return end;
    });
}

/** A killed process that hangs in the kernel, or is another user's by sudo, is not waited for longer. */
const KILL_PATIENCE_MS = 5_000;

/** Runs one command in a child of this process. Never rejects. */
export async function runCommand(
  argv: readonly string[],
  limits: CommandLimits,
  children: ChildTable,
): Promise<CommandEnd> {
  const startedAt = performance.now();
  const command = startProcess(argv, { stdin: limits.stdin !== undefined, stdout: true }, children);
  // One that ends without having read it all says why on stderr.
  command.stdin?.on("error", () => {});
  command.stdin?.end(limits.stdin);
  const spawnMs = performance.now() - startedAt;
  const stdout: Buffer[] = [];
  let stdoutBytes = 0;
  let forced: CommandEnd["exit"] | undefined;
  let patience: NodeJS.Timeout | undefined;
  let giveUp: (exit: CommandEnd["exit"]) => void = () => {};
  const givenUp = new Promise<CommandEnd["exit"]>((resolve) => {
    giveUp = resolve;
  });
  const force = (exit: CommandEnd["exit"]) => {
    if (forced) return;
    forced = exit;
    command.kill();
    patience = setTimeout(() => giveUp(exit), KILL_PATIENCE_MS);
  };
  const { timeoutMs, stdoutBytes: limitBytes } = limits;
  const timer = setTimeout(() => force({ kind: "timed_out", afterMs: timeoutMs }), timeoutMs);
  command.stdout?.on("data", (chunk: Buffer) => {
    stdoutBytes += chunk.length;
    if (stdoutBytes > limitBytes) force({ kind: "too_much_output", limitBytes });
    else stdout.push(chunk);
  });
  const exit = await Promise.race([command.exited, givenUp]);
  clearTimeout(timer);
  clearTimeout(patience);
  return {
    argv,
    stdout: Buffer.concat(stdout).toString("utf8"),
    stderr: command.stderrText(),
    exit: forced ?? exit,
    ms: performance.now() - startedAt,
    spawnMs,
  };
}
