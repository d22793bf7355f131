import type { Socket } from "node:net";
import type { ChildTable } from "../../protocol/threads/child-table.js";
import { type CommandProcess, type ProcessExit, startProcess } from "../processes/child-process.js";
import { readWrittenNow } from "./bulk-watch.js";

/** A command whose end tells what it has written. */
interface StartedSend {
  readonly command: CommandProcess;
  /** `written`: in all, as the kernel counts it; undefined where it does not tell. Never rejects. */
  readonly ended: Promise<{
    readonly exit: ProcessExit;
    readonly stderr: string;
    readonly written: number | undefined;
  }>;
}

/** Starts a command in a process group of its own. `stdout`: true for a pipe. */
export function startSend(
  argv: readonly string[],
  stdout: true | Socket,
  env: NodeJS.ProcessEnv,
  children: ChildTable,
): StartedSend {
  const command = startProcess(argv, { stdin: false, stdout, isGroup: true, env }, children);
  const { pid } = command;
  let written: number | undefined;
  void command.stderrEnd.then(() => {
    written = pid === undefined ? undefined : readWrittenNow(pid);
  });
  const ended = command.exited.then((exit) => ({ exit, stderr: command.stderrText(), written }));
  return { command, ended };
}
