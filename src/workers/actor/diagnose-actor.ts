import {
  type ActorDiagnosis,
  COMMANDS_SHOWN,
  type HoldReport,
  WORKS_SHOWN,
} from "../../protocol/threads/actor-diagnosis.js";
import { askRunner, type CommandBoard } from "../processes/command-board.js";
import type { CommandKind } from "../processes/run-command.js";
import type { Runner } from "../processes/runner-link.js";
import type { FetchQueue } from "./fetch-queue.js";
import type { WorkBoard } from "./work-board.js";

interface DiagnoseOptions {
  readonly board: Pick<WorkBoard, "list" | "size">;
  readonly fetches: Pick<FetchQueue<unknown>, "counts">;
  readonly commands: CommandBoard;
  /** Undefined: the pool needs none, or it is not started yet. */
  readonly runner: Pick<Runner, "ping"> | undefined;
  /** How many commands of each kind may run at once. */
  readonly slots: Readonly<Record<CommandKind, number>>;
  readonly holds: readonly HoldReport[];
}

/** What an actor does and waits for. A runner that does not answer delays it by a second at most. */
export async function diagnoseActor(options: DiagnoseOptions): Promise<ActorDiagnosis> {
  const { board, fetches, commands, holds } = options;
  const asked = await askRunner(commands, options.runner);
  const shown = asked.commands.slice(0, COMMANDS_SHOWN);
  return {
    works: board.size,
    work: await board.list(WORKS_SHOWN, shown),
    commands: shown,
    runner: asked.runner,
    slots: options.runner ? commands.slots(options.slots) : [],
    fetches: fetches.counts(),
    holds,
  };
}
