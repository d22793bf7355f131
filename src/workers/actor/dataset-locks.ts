import { Mutex } from "async-mutex";
import type { DatasetName, PoolName, SnapshotName } from "../../protocol/storage/names.js";

/**
 * What an operation does to a dataset.
 * `keep`: it needs the dataset to stay, as the origin of a clone. Only `tree` waits for it.
 * `part`: it destroys a snapshot of the dataset, and locks that snapshot's name in mode `one` too;
 * or it puts a hold on one. Several such operations may do so with different snapshots at once.
 * `one`: it changes the dataset, and nothing below. It waits for `part`, `one` and `tree`.
 * `tree`: it changes the dataset and all below. It waits for every lock there.
 */
export type LockMode = "keep" | "part" | "one" | "tree";

/** A lock on a dataset in any mode, or on a snapshot in mode `one`. */
export interface LockRequest {
  readonly name: PoolName | DatasetName | SnapshotName;
  readonly mode: LockMode;
}

/** Told which locks a `with` waits for and has. A lock is `NAME subtree|self shared|owned`. */
export interface LockWatch {
  onLockWait(lock: string): void;
  /** It has the lock that it waited for. */
  onLock(): void;
  /** It has all locks that it asked for. */
  onAllLocks(): void;
  /** It has released its locks. */
  onUnlock(): void;
}

type Release = () => void;

/**
 * A readers-writer lock: many may share it, or one caller owns it. It is granted in the order of
 * the calls, so that a stream of sharers can't keep an owner waiting. Source: "no-starve
 * readers-writers" in The Little Book of Semaphores, which names the turnstile and the room.
 * Two mutexes and not a weighted semaphore, because async-mutex releases that in time
 * proportional to its free units (16 s with 2^30 of them).
 */
class SharedMutex {
  /** All callers pass it in order. An owner blocks it from its turn until its release. */
  private readonly turnstile = new Mutex();
  /** Locked by the owner, or once for all sharers. */
  private readonly room = new Mutex();
  /** Sharers in the room: it is locked for them while there are any. */
  private sharers = 0;
  /** Unlocks the room for the last sharer. */
  private leaveRoom: Release = () => {};

  async share(): Promise<Release> {
    const leaveTurnstile = await this.turnstile.acquire();
    if (this.sharers++ === 0) this.leaveRoom = await this.room.acquire();
    leaveTurnstile();
    return () => {
      if (--this.sharers === 0) this.leaveRoom();
    };
  }

  async own(): Promise<Release> {
    const leaveTurnstile = await this.turnstile.acquire();
    const leaveRoom = await this.room.acquire();
    return () => {
      leaveRoom();
      leaveTurnstile();
    };
  }
}

/** The two locks of a name. */
interface LockPair {
  /**
   * Owned to change everything from here down. Every request at or below this name shares it, so
   * that a recursive change waits for them, and they for it.
   */
  readonly subtree: SharedMutex;
  /** Owned to change this dataset or snapshot alone, shared to destroy a snapshot of this dataset. */
  readonly self: SharedMutex;
  /** Requests that hold one of the two or wait for it. Without any, the pair is dropped. */
  users: number;
}

/** One lock to acquire for a request. */
export interface LockStep {
  readonly name: string;
  readonly lock: "subtree" | "self";
  readonly isOwned: boolean;
}

export interface DatasetLocks {
  /** Runs `work` under the locks. Requests that conflict wait for each other in the order of the calls. */
  with<T>(requests: readonly LockRequest[], work: () => Promise<T>, watch?: LockWatch): Promise<T>;
  /** Names with a lock that is held or waited for. */
  readonly size: number;
}

/** A name with those of all datasets above it, from the pool down. */
function pathTo(name: string): string[] {
  const parts = name.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/**
 * Sorts a dataset before everything below it, and its subtree before itself. Written as
 * `\u0001`, the slash comes before all other characters of a name: `a/b` before `a-c`.
 */
function sortKey({ name, lock }: LockStep): string {
  return `${name.replaceAll("/", "\u0001")}\u0000${lock === "subtree" ? 0 : 1}`;
}

/** The order in which all callers acquire their locks. Because it is the same, there can be no deadlock. */
function sortSteps(steps: readonly LockStep[]): readonly LockStep[] {
  return [...steps].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** The locks to acquire, each once. */
function planSteps(requests: readonly LockRequest[]): LockStep[] {
  const steps = new Map<string, LockStep>();
  const add = (name: string, lock: LockStep["lock"], isOwned: boolean) => {
    const key = `${lock} ${name}`;
    steps.set(key, { name, lock, isOwned: isOwned || steps.get(key)?.isOwned === true });
  };
  for (const { name, mode } of requests) {
    for (const each of pathTo(name)) add(each, "subtree", each === name && mode === "tree");
    if (mode === "one" || mode === "part") add(name, "self", mode === "one");
  }
  return [...steps.values()];
}

/**
 * `around` is called for each `with`, before it takes a lock, and must call what it is given.
 * Tests refuse a `with` inside of another one there: two that nest can wait in a circle,
 * whatever order each keeps. `order`: for the test that shows that the order matters.
 */
export function createDatasetLocks(
  around: <T>(work: () => Promise<T>) => Promise<T> = (work) => work(),
  order: (steps: readonly LockStep[]) => readonly LockStep[] = sortSteps,
): DatasetLocks {
  const pairs = new Map<string, LockPair>();

  function addUser(name: string): LockPair {
    let pair = pairs.get(name);
    if (!pair) {
      pair = { subtree: new SharedMutex(), self: new SharedMutex(), users: 0 };
      pairs.set(name, pair);
    }
    pair.users++;
    return pair;
  }

  function removeUser(name: string, pair: LockPair): void {
    if (--pair.users === 0) pairs.delete(name);
  }

  return {
    get size() {
      return pairs.size;
    },
    with: (requests, work, watch) =>
      around(async () => {
        const releases: Release[] = [];
        try {
          for (const { name, lock, isOwned } of order(planSteps(requests))) {
            const pair = addUser(name);
            releases.push(() => removeUser(name, pair));
            watch?.onLockWait(`${name} ${lock} ${isOwned ? "owned" : "shared"}`);
            const release = isOwned ? await pair[lock].own() : await pair[lock].share();
            releases.push(release);
            watch?.onLock();
          }
          watch?.onAllLocks();
          return await work();
        } finally {
          for (const release of releases.reverse()) release();
          watch?.onUnlock();
        }
      }),
  };
}
