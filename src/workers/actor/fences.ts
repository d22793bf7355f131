import {
  type FailedOutcome,
  fail,
  type Outcome,
  succeed,
  tellAbout,
} from "../../protocol/storage/failures.js";
import type { DatasetName } from "../../protocol/storage/names.js";
import { FENCE_TAG } from "../../protocol/storage/volume-settings.js";
import type { Zfs } from "../drivers/driver.js";
import type { DatasetLocks, LockRequest, LockWatch } from "./dataset-locks.js";

/**
 * The volumes that have moved to another node. Nothing may change them here: two owners that both write are worse than
 * none. The mark is a tag of the volume itself, so it outlives the daemon and its records.
 */
export interface Fences {
  /** What the mark of a volume says; undefined: it has none. */
  find(volume: DatasetName): string | undefined;
  put(volume: DatasetName, mark: string): void;
  drop(volume: DatasetName): void;
  /** Why work that has these locks must not be done. Undefined: nothing of it is fenced. */
  refusalOf(requests: readonly LockRequest[]): FailedOutcome | undefined;
}

/** Reads the marks of a pool. Fails as the driver's reads do. */
export async function readFences(zfs: Pick<Zfs, "volumesWithTag">): Promise<Outcome<Fences>> {
  const marked = await zfs.volumesWithTag(FENCE_TAG);
  return marked.ok ? succeed(createFences(marked.value)) : marked;
}

export function createFences(marked: ReadonlyMap<string, string> = new Map()): Fences {
  const marks = new Map<string, string>(marked);

  function isTouched(volume: string, { name, mode }: LockRequest): boolean {
    if (mode === "keep") return false;
    return volume === name || (mode === "tree" && volume.startsWith(`${name}/`));
  }

  return {
    find: (volume) => marks.get(volume),
    put: (volume, mark) => void marks.set(volume, mark),
    drop: (volume) => void marks.delete(volume),
    refusalOf: (requests) => {
      if (marks.size === 0) return undefined;
      const volume = [...marks.keys()].find((each) => requests.some((request) => isTouched(each, request)));
      if (volume === undefined) return undefined;
      const refused = fail(
        "dataset.fenced",
        `${volume} has moved to another node; UnfenceVolume brings it back`,
      );
      return tellAbout(refused, { object: volume });
    },
  };
}

/** The same locks, but what would change a fenced volume is refused once it has them. */
export function fencedLocks(locks: DatasetLocks, fences: Pick<Fences, "refusalOf">): DatasetLocks {
  return {
    get size() {
      return locks.size;
    },
    with: <T>(requests: readonly LockRequest[], work: () => Promise<T>, watch?: LockWatch) =>
      // What an operation does with its locks answers an outcome.
      locks.with(requests, async () => (fences.refusalOf(requests) as T | undefined) ?? work(), watch),
  };
}
