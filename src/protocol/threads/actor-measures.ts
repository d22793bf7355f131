import type { SlotReport } from "./actor-diagnosis.js";
import type { TimesOf } from "./time-tally.js";

/** How many datasets a pool has. Undefined: not counted yet. */
export interface DatasetCounts {
  readonly volumes: number | undefined;
  readonly snapshots: number | undefined;
}

/** How the changes by others are followed. */
export interface FollowerMeasures {
  readonly isFollowing: boolean;
  /** How often it had to begin again, since the thread began. */
  readonly restarts: number;
}

/** What an actor tells of itself at a scrape. It looks at nothing but its own memory. */
export interface ActorMeasures {
  readonly counts: DatasetCounts;
  /** By kind of command; empty without a runner. */
  readonly slots: readonly SlotReport[];
  /** Image fetches that wait for their turn. */
  readonly waitingFetches: number;
  /** By the strongest mode that was asked for, since the thread began. */
  readonly lockWaits: readonly TimesOf[];
  /** By verb and outcome, since the thread began. */
  readonly commands: readonly TimesOf[];
  /** Undefined where nobody else changes the pool, or where it is switched off. */
  readonly follower: FollowerMeasures | undefined;
}

/** The upper bounds of the buckets for waits for locks, in seconds. */
export const LOCK_WAIT_BOUNDS: readonly number[] = [0.001, 0.01, 0.1, 1, 10, 60];
/** The same for commands and calls of libzfs_core. */
export const COMMAND_BOUNDS: readonly number[] = [0.005, 0.02, 0.1, 0.5, 2, 10, 60];
