import type { ChildTable } from "../../protocol/threads/child-table.js";
import { startProcess } from "./child-process.js";
import type { CommandEnd } from "./run-command.js";

interface FollowingCommand {
  /** Reads on, after `onText` has asked for a pause. */
  resume(): void;
  stop(): void;
  /** Resolves when it has ended, or doesn't though it was stopped. Never rejects. */
  readonly ended: Promise<CommandEnd>;
}

/** Longest wait after a stop: it may belong to another user by sudo. It ends when it next writes. */
const STOPPED_WAIT_MS = 2_000;

/**
 * Runs a command in a child of this process, without limits, and gives what it writes to `onText`, which
 * answers false where nothing more may come until `resume` is called.
 */
export function followCommand(
  argv: readonly string[],
  children: ChildTable,
  onText: (text: string) => boolean,
): FollowingCommand {
  const startedAt = performance.now();
  const command = startProcess(argv, { stdin: false, stdout: true }, children);
  command.stdout?.setEncoding("utf8");
  command.stdout?.on("data", (text: string) => {
    if (!onText(text)) command.stdout?.pause();
  });
  /** Set by the stop. */
  let giveUp = () => {};
  const stopped = new Promise<CommandEnd["exit"]>((resolve) => {
    giveUp = () => setTimeout(resolve, STOPPED_WAIT_MS, { kind: "lost" }).unref();
  });
  return {
    resume: () => void command.stdout?.resume(),
    stop: () => {
      command.kill();
      giveUp();
    },
    ended: Promise.race([command.exited, stopped]).then((exit) => ({
      argv,
      stdout: "",
      stderr: command.stderrText(),
      exit,
      ms: performance.now() - startedAt,
    })),
  };
}
