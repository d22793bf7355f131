import { Mutex } from "async-mutex";
import type { DatasetName, PoolName, SnapshotName } from "../../protocol/storage/names.js";

/**
 * What an operation does to a dataset. `keep`: it must not be destroyed meanwhile;
 * `part`: a snapshot of it, locked by its own name, is destroyed, and others may do the
 * same to others; `one`: it is changed, what is below it is not; `tree`: it and
 * everything below it. A snapshot's name is locked in mode `one` only.
 */
export type LockMode = "keep" | "part" | "one" | "tree";

export interface LockRequest {
  readonly name: PoolName | DatasetName | SnapshotName;
  readonly mode: LockMode;
}

type Release = () => void;

/**
 * A lock that many may share or one may own. Who comes first passes the turnstile
 * first, so that a stream of sharers can't keep an owner out. Two mutexes and not a
 * weighted semaphore: releasing one of async-mutex's takes time in proportion to its
 * free units (16 s with 2^30 of them).
 */
class SharedMutex {
  private readonly turnstile = new Mutex();
  private readonly room = new Mutex();
  private sharers = 0;
  private leaveRoom: Release = () => {};

  async share(): Promise<Release> {
    const passOn = await this.turnstile.acquire();
    if (this.sharers++ === 0) this.leaveRoom = await this.room.acquire();
    passOn();
    return () => {
      if (--this.sharers === 0) this.leaveRoom();
    };
  }

  async own(): Promise<Release> {
    const passOn = await this.turnstile.acquire();
    const leaveRoom = await this.room.acquire();
    return () => {
      leaveRoom();
      passOn();
    };
  }
}

/**
 * The two locks of a dataset. `self` is its mutex, shared by who changes parts of it.
 * `subtree` is owned by who changes the tree rooted here and shared by everybody who
 * works at or below this dataset, so that a recursive change waits for them and they
 * for it.
 */
interface Node {
  readonly subtree: SharedMutex;
  readonly self: SharedMutex;
  users: number;
}

interface Step {
  readonly name: string;
  readonly lock: "subtree" | "self";
  readonly owned: boolean;
}

export interface DatasetLocks {
  /** Runs `work` under the locks; others wait in the order they came. */
  with<T>(requests: readonly LockRequest[], work: () => Promise<T>): Promise<T>;
  /** Datasets that somebody holds or waits for. */
  readonly size: number;
}

function ancestorsOf(name: string): string[] {
  const parts = name.split("/");
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

/** "/" sorts before every other character, so that a parent and its tree come before their neighbours. */
function sortKey(step: Step): string {
  return `${step.name.replaceAll("/", "\u0001")}\u0000${step.lock === "subtree" ? 0 : 1}`;
}

/** The locks to take, each once, in one order for all: nobody can wait in a circle. */
function plan(requests: readonly LockRequest[]): Step[] {
  const steps = new Map<string, Step>();
  const add = (name: string, lock: Step["lock"], owned: boolean) => {
    const key = `${lock} ${name}`;
    steps.set(key, { name, lock, owned: owned || steps.get(key)?.owned === true });
  };
  for (const { name, mode } of requests) {
    for (const ancestor of ancestorsOf(name)) {
      add(ancestor, "subtree", ancestor === name && mode === "tree");
    }
    if (mode === "one" || mode === "part") add(name, "self", mode === "one");
  }
  return [...steps.values()].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/**
 * `around` is called for each `with`, before it takes a lock, and must call what it is given.
 * Tests refuse a `with` inside of another one there: two that nest can wait in a circle,
 * whatever order each keeps.
 */
export function createDatasetLocks(
  around: <T>(work: () => Promise<T>) => Promise<T> = (work) => work(),
): DatasetLocks {
  const nodes = new Map<string, Node>();

  function enter(name: string): Node {
    let node = nodes.get(name);
    if (!node) {
      node = { subtree: new SharedMutex(), self: new SharedMutex(), users: 0 };
      nodes.set(name, node);
    }
    node.users++;
    return node;
  }

  function leave(name: string, node: Node): void {
    if (--node.users === 0) nodes.delete(name);
  }

  function acquire(node: Node, { lock, owned }: Step): Promise<Release> {
    return owned ? node[lock].own() : node[lock].share();
  }

  return {
    get size() {
      return nodes.size;
    },
    with: (requests, work) =>
      around(async () => {
        const releases: Release[] = [];
        try {
          for (const step of plan(requests)) {
            const node = enter(step.name);
            releases.push(() => leave(step.name, node));
            const release = await acquire(node, step);
            releases.push(release);
          }
          return await work();
        } finally {
          for (const release of releases.reverse()) release();
        }
      }),
  };
}
