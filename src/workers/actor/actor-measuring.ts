import {
  type ActorMeasures,
  COMMAND_BOUNDS,
  type DatasetCounts,
  type FollowerMeasures,
  LOCK_WAIT_BOUNDS,
} from "../../protocol/threads/actor-measures.js";
import { createTimeTally } from "../../protocol/threads/time-tally.js";
import type { LibraryEnd } from "../libzfs/library-call.js";
import type { CommandBoard } from "../processes/command-board.js";
import { outcomeOf, verbOf } from "../processes/command-words.js";
import type { CommandEnd, CommandKind } from "../processes/run-command.js";
import type { LockMode } from "./dataset-locks.js";
import type { FetchQueue } from "./fetch-queue.js";

/** Counts what an actor does, from the start of its thread on. */
export interface ActorMeasuring {
  onLockWait(mode: LockMode, ms: number): void;
  /** A command or a call of libzfs_core has ended. */
  onCommand(argv: readonly string[], end: Pick<CommandEnd | LibraryEnd, "exit" | "ms">): void;
  /** `counts`: what the driver knows; undefined before it is open. `hasRunner`: whether it runs commands. */
  report(
    counts: DatasetCounts | undefined,
    hasRunner: boolean,
    follower: FollowerMeasures | undefined,
  ): ActorMeasures;
}

interface MeasuringOptions {
  readonly commands: Pick<CommandBoard, "slots">;
  readonly fetches: Pick<FetchQueue<unknown>, "counts">;
  /** How many commands of each kind may run at once. */
  readonly slots: Readonly<Record<CommandKind, number>>;
}

export function createActorMeasuring({ commands, fetches, slots }: MeasuringOptions): ActorMeasuring {
  const lockWaits = createTimeTally(LOCK_WAIT_BOUNDS);
  const ended = createTimeTally(COMMAND_BOUNDS);
  return {
    onLockWait: (mode, ms) => lockWaits.observe([mode], ms),
    onCommand: (argv, end) => ended.observe([verbOf(argv), outcomeOf(end)], end.ms),
    report: (counts, hasRunner, follower) => ({
      counts: counts ?? { volumes: undefined, snapshots: undefined },
      slots: hasRunner ? commands.slots(slots) : [],
      waitingFetches: fetches.counts().waiting,
      lockWaits: lockWaits.list(),
      commands: ended.list(),
      follower,
    }),
  };
}
