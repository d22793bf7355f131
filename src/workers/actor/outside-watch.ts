import type { Outcome } from "../../protocol/storage/failures.js";
import type { PoolName } from "../../protocol/storage/names.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { OutsideChange } from "../../protocol/storage/outside-change.js";
import type { FollowerMeasures } from "../../protocol/threads/actor-measures.js";
import type { FollowerEvents, PoolFollower } from "../drivers/seen-changes.js";
import { createOwnChanges } from "./own-changes.js";
import { createToldChanges } from "./told-changes.js";

/** Sees what others change in a pool, beside the operations of its actor. */
export interface OutsideWatch {
  /** Runs an operation, whose changes are its own. */
  run<T>(operation: Operation, work: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
  measures(): FollowerMeasures;
  close(): void;
}

const SWEEP_MS = 1_000;

/**
 * Begins at once.
 * @param send takes the changes that are to be told, in their order.
 */
export function watchOutside(
  pool: PoolName,
  follow: (events: FollowerEvents) => PoolFollower,
  send: (changes: readonly OutsideChange[]) => void,
): OutsideWatch {
  const told = createToldChanges(pool, send);
  const own = createOwnChanges(pool, told.add, told.miss);
  const follower = follow({
    onChange: (change) => {
      if (!own.isOwn(change)) change.changes.forEach(told.add);
      // Another machine may have changed it meanwhile.
      if (change.changes.some(({ what }) => what === "pool_import")) told.miss();
    },
    onMissed: told.miss,
  });
  const sweeps = setInterval(() => {
    // It may have been stopped, or its connection cut. What it has missed comes when it is started again.
    if (own.sweep(follower.seenUpTo)) follower.restart();
  }, SWEEP_MS);
  sweeps.unref();
  return {
    run: own.run,
    measures: () => ({ isFollowing: follower.isFollowing, restarts: follower.restarts }),
    close: () => {
      clearInterval(sweeps);
      follower.close();
      told.close();
    },
  };
}
