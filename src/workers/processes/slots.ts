import { argvOf, type LibraryCall, type LibraryEnd } from "../libzfs/library-call.js";
import { type CommandBoard, createCommandBoard } from "./command-board.js";
import type { CommandEnd, CommandKind, RunCommand } from "./run-command.js";
import type { Runner } from "./runner-link.js";

/** Makes a call of libzfs_core. Never rejects. */
export type CallLibrary = (call: LibraryCall, kind: CommandKind, timeoutMs: number) => Promise<LibraryEnd>;

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
 * Runs work in a slot of its kind. `argv` is on the board until it has ended.
 * Time limits of the work begin with the slot.
 */
export type InSlot = <T>(argv: readonly string[], kind: CommandKind, work: () => Promise<T>) => Promise<T>;

/** The slots of an actor: so many of each kind as `counts` says. */
export function createKindSlots(
  counts: Readonly<Record<CommandKind, number>>,
  board: CommandBoard = createCommandBoard(),
): InSlot {
  const slots: Record<CommandKind, Slots> = {
    read: createSlots(counts.read),
    hold: createSlots(counts.hold),
    change: createSlots(counts.change),
    destroy: createSlots(counts.destroy),
  };
  return (argv, kind, work) => {
    const noted = board.add(argv, kind);
    return slots[kind]
      .use(() => {
        noted.start();
        return work();
      })
      .finally(noted.end);
  };
}

/** Runs each command in a slot of its kind, and reports its end to `onEnd`. */
export function limitCommands(inSlot: InSlot, run: RunCommand, onEnd: (end: CommandEnd) => void): RunCommand {
  return (argv, limits, kind) =>
    inSlot(argv, kind, async () => {
      const end = await run(argv, limits, kind);
      onEnd(end);
      return end;
    });
}

/** The same for calls of libzfs_core. A command and a call of one kind take the same slots. */
export function limitCalls(
  inSlot: InSlot,
  call: Runner["call"],
  onEnd: (argv: readonly string[], end: LibraryEnd) => void,
): CallLibrary {
  return (order, kind, timeoutMs) => {
    const argv = argvOf(order);
    return inSlot(argv, kind, async () => {
      const end = await call(order, timeoutMs);
      onEnd(argv, end);
      return end;
    });
  };
}
