import { setImmediate as nextTurn } from "node:timers/promises";
import { createSharedRun } from "../../batching/coalescer.js";
import type { CatalogWatcher } from "./catalog.js";
import type { Dataset, Volume } from "./dataset.js";

/** What the datasets of a pool take and may take still, bytes. */
export interface SpaceTotals {
  /** What the pool's files take. */
  readonly used: bigint;
  /** What thick volumes may still write: it is kept for them. */
  readonly reserved: bigint;
  /** What thin volumes and clones may still write: nothing is kept for them. */
  readonly promised: bigint;
}

/**
 * Running sums over all datasets, staged ones too. What a volume takes changes with every write of
 * its guest, which nobody tells us: it is as it was when the volume was added or last looked at.
 */
export interface SpaceSums extends CatalogWatcher {
  readonly totals: SpaceTotals;
  /** What of `used` is of staged datasets alone. */
  readonly stagedUsed: bigint;
  /** Looks at every volume. What came before the call is in the totals when it resolves. */
  lookAgain(): Promise<void>;
}

/** A volume, and what its file was last seen to take. */
interface SeenVolume {
  readonly volume: Volume;
  allocated: bigint;
}

/** How many volumes are looked at before other work has its turn: less than 1 ms. */
const LOOKS_A_TURN = 128;

/** `allocatedNow`: what a file takes, bytes; 0 if it is not there. */
export function createSpaceSums(allocatedNow: (file: string) => bigint): SpaceSums {
  const totals = { used: 0n, reserved: 0n, promised: 0n };
  let stagedUsed = 0n;
  const volumes = new Map<number, SeenVolume>();
  const volumesByFile = new Map<string, SeenVolume>();
  /** How many snapshots have their data in a file. */
  const snapshotsByFile = new Map<string, number>();

  /** Adds what a volume comes to; with -1n, takes it away. */
  function count({ volume, allocated }: SeenVolume, sign: 1n | -1n): void {
    // A received volume shares the file of its snapshot, which is counted already.
    if (!snapshotsByFile.has(volume.file)) totals.used += sign * allocated;
    const unwritten = volume.volsize > allocated ? volume.volsize - allocated : 0n;
    if (volume.reserved) totals.reserved += sign * unwritten;
    else if (!volume.readonly) totals.promised += sign * unwritten;
  }

  /** Does `change`, which changes what a volume comes to. */
  function recount(seen: SeenVolume | undefined, change: () => void): void {
    if (seen) count(seen, -1n);
    change();
    if (seen) count(seen, 1n);
  }

  function countSnapshots(file: string, by: 1 | -1): void {
    if (file === "") return;
    recount(volumesByFile.get(file), () => {
      const left = (snapshotsByFile.get(file) ?? 0) + by;
      if (left > 0) snapshotsByFile.set(file, left);
      else snapshotsByFile.delete(file);
    });
  }

  function noting(change: (dataset: Dataset) => void): (dataset: Dataset) => void {
    return (dataset) => {
      const before = totals.used;
      change(dataset);
      stagedUsed += totals.used - before;
    };
  }

  async function lookAtAll(): Promise<void> {
    let looks = 0;
    for (const seen of [...volumes.values()]) {
      if (++looks % LOOKS_A_TURN === 0) await nextTurn();
      // It may have left meanwhile.
      if (volumes.get(seen.volume.id) !== seen) continue;
      const allocated = allocatedNow(seen.volume.file);
      if (allocated !== seen.allocated) recount(seen, () => (seen.allocated = allocated));
    }
  }

  return {
    totals,
    get stagedUsed() {
      return stagedUsed;
    },
    entered: noting((dataset) => {
      if (dataset.type === "snapshot") {
        totals.used += dataset.allocated;
        countSnapshots(dataset.file, 1);
      }
      if (dataset.type === "volume") {
        const seen = { volume: dataset, allocated: allocatedNow(dataset.file) };
        volumes.set(dataset.id, seen);
        volumesByFile.set(dataset.file, seen);
        count(seen, 1n);
      }
    }),
    left: noting((dataset) => {
      if (dataset.type === "snapshot") {
        totals.used -= dataset.allocated;
        countSnapshots(dataset.file, -1);
      }
      const seen = volumes.get(dataset.id);
      if (dataset.type !== "volume" || !seen) return;
      count(seen, -1n);
      volumes.delete(dataset.id);
      if (volumesByFile.get(dataset.file) === seen) volumesByFile.delete(dataset.file);
    }),
    settled: () => {
      stagedUsed = 0n;
    },
    lookAgain: createSharedRun(lookAtAll),
  };
}
