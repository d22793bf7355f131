import type { SlotReport } from "../../protocol/threads/actor-diagnosis.js";
import type { CommandReport } from "../../protocol/threads/work-report.js";
import type { CommandKind } from "./run-command.js";
import type { Runner } from "./runner-link.js";

/** A command that is on the board. */
interface Noted {
  /** Call it when the command has its slot. */
  start(): void;
  /** Call it when the command has ended. */
  end(): void;
}

/** The commands of an actor that run or wait for a slot. */
export interface CommandBoard {
  add(argv: readonly string[], kind: CommandKind): Noted;
  /** Oldest first, without pids: only the runner knows these. */
  list(): readonly CommandReport[];
  /** How many of each kind run and wait; `most` is what the kind may have. */
  slots(most: Readonly<Record<CommandKind, number>>): readonly SlotReport[];
}

const KINDS: readonly CommandKind[] = ["read", "hold", "change", "destroy"];

export function createCommandBoard(): CommandBoard {
  const commands = new Set<{
    readonly argv: readonly string[];
    readonly kind: CommandKind;
    readonly since: number;
    isRunning: boolean;
  }>();
  return {
    add: (argv, kind) => {
      const command = { argv, kind, since: performance.now(), isRunning: false };
      commands.add(command);
      return {
        start: () => {
          command.isRunning = true;
        },
        end: () => void commands.delete(command),
      };
    },
    list: () => {
      const now = performance.now();
      return Array.from(commands, ({ argv, since, isRunning }) => ({
        argv,
        state: isRunning ? "running" : "slot",
        ms: Math.round(now - since),
      }));
    },
    slots: (most) =>
      KINDS.map((kind) => {
        const ofKind = [...commands].filter((command) => command.kind === kind);
        const running = ofKind.filter(({ isRunning }) => isRunning).length;
        return { kind, most: most[kind], running, waiting: ofKind.length - running };
      }),
  };
}

/** A runner that doesn't answer within this time gives no pids. */
const RUNNER_LIMIT_MS = 1_000;

/** The commands on the board, oldest first, with the pids of those that the runner runs. */
export async function listWithPids(
  board: CommandBoard,
  runner: Pick<Runner, "ping"> | undefined,
): Promise<readonly CommandReport[]> {
  return (await askRunner(board, runner)).commands;
}

/** The same, and whether the runner has answered; `none` without one. */
export async function askRunner(
  board: CommandBoard,
  runner: Pick<Runner, "ping"> | undefined,
): Promise<{
  readonly commands: readonly CommandReport[];
  readonly runner: "none" | "answers" | "silent";
}> {
  const listed = board.list();
  if (!runner) return { commands: listed, runner: "none" };
  /** Set with the race: without it, the timer would outlive the answer. */
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, RUNNER_LIMIT_MS, undefined);
  });
  const answered = await Promise.race([runner.ping(), limit]);
  clearTimeout(timer);
  const pids = new Map<string, (number | undefined)[]>();
  for (const { argv, pid } of answered ?? []) {
    const key = argv.join("\0");
    pids.set(key, [...(pids.get(key) ?? []), pid]);
  }
  const commands = listed.map((command) => {
    const pid = command.state === "running" ? pids.get(command.argv.join("\0"))?.shift() : undefined;
    return pid === undefined ? command : { ...command, pid };
  });
  return { commands, runner: answered ? "answers" : "silent" };
}
