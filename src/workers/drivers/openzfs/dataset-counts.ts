import type { DatasetCounts } from "../../../protocol/threads/actor-measures.js";
import { type CommandEnd, succeeded } from "../../processes/run-command.js";

/** How old a count of the snapshots may be before the next question has it made anew. */
const RECOUNT_MS = 5 * 60_000;

/** Counts that cost a question nothing. */
export interface CountKeeper {
  /** As they were last seen. May begin a count of the snapshots, which a later question shows. */
  counts(): DatasetCounts;
  /** A list of all volumes had so many. */
  sawVolumes(count: number): void;
}

/**
 * OpenZFS has no number of a pool's datasets. GetPool lists the volumes anyway, and each scrape asks for
 * that. The snapshots, which may be 100,000, are listed by name alone, which zfs(8) does without reading them:
 * once in 5 min, and only while somebody asks.
 */
export function createCountKeeper(
  pool: string,
  list: (args: readonly string[]) => Promise<CommandEnd>,
  now = () => performance.now(),
): CountKeeper {
  let volumes: number | undefined;
  let snapshots: number | undefined;
  /** When the last count was begun. A count that fails is not tried sooner than the next would be. */
  let countedAt = Number.NEGATIVE_INFINITY;

  async function count(): Promise<void> {
    countedAt = now();
    // Sorted by name and with nothing else shown, it reads no snapshot: see zfs-list(8).
    const end = await list(["-t", "snapshot", "-r", "-o", "name", "-s", "name", pool]);
    if (succeeded(end)) snapshots = end.stdout.split("\n").length - 1;
  }

  return {
    counts: () => {
      if (now() - countedAt >= RECOUNT_MS) void count();
      return { volumes, snapshots };
    },
    sawVolumes: (seen) => {
      volumes = seen;
    },
  };
}
