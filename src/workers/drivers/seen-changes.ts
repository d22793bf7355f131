import type { OutsideChange } from "../../protocol/storage/outside-change.js";
import type { FollowerMeasures } from "../../protocol/threads/actor-measures.js";

/** What is seen of a pool, whoever did it. */
export interface SeenChange {
  /** As zfs's internal history calls it, such as `snapshot`; `rollback` for that; "" where it is about no dataset. */
  readonly kind: string;
  /** The dataset or snapshot; the pool. */
  readonly name: string;
  /** How it is told, unless a call made it. */
  readonly changes: readonly OutsideChange[];
}

/** A change that is seen now. */
export interface DatedChange extends SeenChange {
  /** When it was made, by performance.now(), as well as can be told. */
  readonly madeAt: number;
}

/** Follows what is seen of one pool. */
export interface PoolFollower extends FollowerMeasures {
  /** All that was made before was seen, or missed; by performance.now(). */
  readonly seenUpTo: number;
  /** Starts anew, since nothing comes. It goes on where it was. */
  restart(): void;
  close(): void;
}

/** Takes what a follower sees. `onMissed`: there may be changes that it has not seen. It is called first. */
export interface FollowerEvents {
  onChange(change: DatedChange): void;
  onMissed(): void;
}
