import { readFile } from "node:fs/promises";
import type { PoolName } from "../../../protocol/storage/names.js";
import {
  createPoolStateTracker,
  kstatFile,
  type PoolState,
  txgLines,
} from "../../../protocol/storage/txg-history.js";
import type { ActorLog } from "../../../protocol/threads/actor-log.js";

/**
 * How often a pool is synced to learn whether a history is its own. A busy pool of the same name
 * passes one of them by chance.
 */
const PROOFS = 5;

/**
 * A sync waits for the txg that is open and the two behind it (TXG_DEFER_SIZE), and one more may
 * have been opened before it began. A pool at rest commits one each 5 s (zfs_txg_timeout), so that
 * it can't pass for a pool that is synced.
 */
const COMMITTED_BY_SYNC = { least: 3, most: 4 };

/** A proof that takes longer tells nothing: a pool at rest has time to commit as many. */
const LONGEST_PROOF_MS = 5_000;

/** Whether of two histories the second may have been taken after one sync of the pool. */
function showsOneSync(before: string, after: string): boolean {
  const open = txgLines(before).at(-1);
  const committed = txgLines(after).filter(({ state }) => state === "C");
  const at = committed.findIndex(({ id }) => id === open?.id);
  const count = at < 0 ? 0 : committed.length - at;
  return open?.state === "O" && count >= COMMITTED_BY_SYNC.least && count <= COMMITTED_BY_SYNC.most;
}

interface PoolStateReaderOptions {
  readonly pool: PoolName;
  /**
   * argv that prints a kstat when its path is appended, such as `["ssh", "node", "cat"]`.
   * Undefined: the file on this machine is read. Empty: nothing is read.
   */
  readonly command: readonly string[] | undefined;
  /** Runs a command. @returns its output; undefined if it failed. */
  run(argv: readonly string[]): Promise<string | undefined>;
  /** Runs `zpool sync`, which ends when the open txg is committed. @returns whether it did. */
  sync(): Promise<boolean>;
  readonly log: ActorLog;
}

interface PoolStateReader {
  /** Uses the kstats from now on if they belong to the pool with this guid, as `zpool` prints it. */
  open(guid: string): Promise<void>;
  /** The state now. Undefined if it is unknown, and before `open` accepted the kstats. */
  read(): Promise<PoolState | undefined>;
  /** The file of this machine that `read` reads, if `open` accepted it. */
  readonly historyFile: string | undefined;
}

/** Reads a pool's state from its kstats. */
export function createPoolStateReader(options: PoolStateReaderOptions): PoolStateReader {
  const { pool, command, run, sync, log } = options;
  const stateOf = createPoolStateTracker();
  /** Whether the kstats are known to belong to our pool. */
  let isOurs = false;

  function readKstat(name: "guid" | "txgs"): Promise<string | undefined> {
    const path = kstatFile(pool, name);
    return command === undefined ? readFile(path, "utf8").catch(() => undefined) : run([...command, path]);
  }

  /** OpenZFS before 2.2 has no kstat `guid`. There the pool is told by a history that follows its syncs. */
  async function followsSyncs(): Promise<boolean> {
    for (let proofs = 0; proofs < PROOFS; proofs++) {
      const startedAt = performance.now();
      const before = await readKstat("txgs");
      if (before === undefined || !(await sync())) return false;
      if (!showsOneSync(before, (await readKstat("txgs")) ?? "")) return false;
      if (performance.now() - startedAt > LONGEST_PROOF_MS) return false;
    }
    return true;
  }

  return {
    async open(guid) {
      if (command?.length === 0) return;
      // With a zfsCommand such as ssh the pool is on another machine, and this one may have
      // a pool of the same name, whose history says nothing about ours.
      const shown = await readKstat("guid");
      isOurs = shown === undefined ? await followsSyncs() : shown.trim() === guid;
      if (isOurs) log.info("look-ups are remembered while the pool does not change", { pool });
      else if (command !== undefined)
        log.warn("kstatCommand does not show this pool's kstats", { pool, command });
    },
    get historyFile() {
      return isOurs && command === undefined ? kstatFile(pool, "txgs") : undefined;
    },
    read: async () => (isOurs ? stateOf((await readKstat("txgs")) ?? "") : undefined),
  };
}
