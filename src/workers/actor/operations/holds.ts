import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import type { ActorContext } from "./context.js";

/** How the tags of all our holds begin, those of other runs included. */
export const HOLD_PREFIX = "imagestore:";

/**
 * The holds that keep snapshots from being destroyed during their downloads. Downloads of one
 * snapshot at the same time share a hold: the equal tags show main that they may share a send.
 */
export interface Holds {
  /** @returns the tag of the hold, to be released once. Fails as `zfs hold` does. */
  acquire(name: SnapshotName): Promise<Outcome<string>>;
  /** The last download that shares the hold releases it. After a failure the caller may try again. */
  release(name: SnapshotName, tag: string): Promise<Outcome<null>>;
}

interface SharedHold {
  readonly tag: string;
  readonly held: Promise<Outcome<null>>;
  /** Downloads that share the hold. */
  users: number;
}

/** `liveTags`: for each download that started before this actor did and still runs, the tag of its hold. */
export function createHolds(
  { zfs, records, runId }: Pick<ActorContext, "zfs" | "records" | "runId">,
  liveTags: readonly string[],
): Holds {
  /** The holds that new downloads may share. */
  const shared = new Map<SnapshotName, SharedHold>();
  /** How many of the downloads in `liveTags` still run, by tag. No new download shares these holds. */
  const earlierUsers = new Map<string, number>();
  for (const tag of liveTags) earlierUsers.set(tag, (earlierUsers.get(tag) ?? 0) + 1);
  // A restarted actor counts its tags from 1 again: the time sets them apart from those before.
  const tagPrefix = `${HOLD_PREFIX}${runId}-${Date.now().toString(36)}`;
  /** The number in the newest tag. */
  let lastTag = 0;

  async function hold(name: SnapshotName, tag: string): Promise<Outcome<null>> {
    await records.putHold({ name, tag });
    const held = await zfs.hold(tag, name);
    if (!held.ok) {
      shared.delete(name);
      await records.dropHold({ name, tag });
    }
    return held;
  }

  /** Counts one download less. @returns whether others still use the hold. */
  function removeUser(name: SnapshotName, tag: string): boolean {
    const found = shared.get(name);
    if (found?.tag === tag) {
      if (--found.users > 0) return true;
      // No new download may join a hold that is being released.
      shared.delete(name);
      return false;
    }
    const left = (earlierUsers.get(tag) ?? 1) - 1;
    if (left > 0) earlierUsers.set(tag, left);
    else earlierUsers.delete(tag);
    return left > 0;
  }

  return {
    acquire: async (name) => {
      let found = shared.get(name);
      if (!found) {
        const tag = `${tagPrefix}-${++lastTag}`;
        found = { tag, held: hold(name, tag), users: 0 };
        shared.set(name, found);
      }
      found.users++;
      const held = await found.held;
      return held.ok ? succeed(found.tag) : held;
    },
    release: async (name, tag) => {
      if (removeUser(name, tag)) return succeed(null);
      const released = await zfs.release(tag, name);
      if (!released.ok) return released;
      await records.dropHold({ name, tag });
      return succeed(null);
    },
  };
}
