import { type CommandBoard, createCommandBoard } from "./command-board.js";
import type { CommandEnd, CommandKind, RunCommand } from "./run-command.js";

/** A fixed number of places for work that may run at the same time. */
export interface Slots {
  /** Runs `work` as soon as a slot is free. Slots are given in the order of the calls. */
  use<T>(work: () => Promise<T>): Promise<T>;
  /** Slots in use. */
  readonly used: number;
  /** Calls that wait for a slot. */
  readonly waiting: number;
}

export function createSlots(count: number): Slots {
  /** The calls that wait, oldest first; empty unless all slots are in use. */
  const waiting: (() => void)[] = [];
  let used = 0;
  return {
    get used() {
      return used;
    },
    get waiting() {
      return waiting.length;
    },
    use: async (work) => {
      if (used < count) used++;
      else await new Promise<void>((start) => waiting.push(start));
      try {
        return await work();
      } finally {
        // The slot is handed over without becoming free, so that no new call overtakes one that waits.
        const next = waiting.shift();
        if (next) next();
        else used--;
      }
    },
  };
}

/**
 * Runs each command in a slot of its kind, of which there are `counts`, and reports its end to
 * `onEnd`. Time limits begin with the slot. Each command is on the board until it has ended.
 */
export function limitCommands(
  counts: Readonly<Record<CommandKind, number>>,
  run: RunCommand,
  onEnd: (end: CommandEnd) => void,
  board: CommandBoard = createCommandBoard(),
): RunCommand {
  const slots: Record<CommandKind, Slots> = {
    read: createSlots(counts.read),
    hold: createSlots(counts.hold),
    change: createSlots(counts.change),
    destroy: createSlots(counts.destroy),
  };
  return (argv, limits, kind) => {
    const noted = board.add(argv, kind);
    return slots[kind]
      .use(async () => {
        noted.start();
        const end = await run(argv, limits, kind);
        onEnd(end);
        return end;
      })
      .finally(noted.end);
  };
}
