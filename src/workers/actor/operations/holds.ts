import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import { HOLD_PREFIX } from "../reconcile.js";
import type { ActorContext } from "./context.js";

/**
 * Holds for downloads. Those of one snapshot that run at one time share a hold, and
 * by its tag main sees that they may share a send too.
 */
export interface Holds {
  /** @returns the tag, to be given back once. Fails as `zfs hold` does. */
  take(name: SnapshotName): Promise<Outcome<string>>;
  /** The last of those who share it releases it. May be tried again when it fails. */
  giveBack(name: SnapshotName, tag: string): Promise<Outcome<null>>;
}

interface SharedHold {
  readonly tag: string;
  readonly held: Promise<Outcome<null>>;
  users: number;
}

/** `liveTags`: a tag for each download that runs on from before this actor was started. */
export function createHolds(
  { zfs, records, runId }: Pick<ActorContext, "zfs" | "records" | "runId">,
  liveTags: readonly string[],
): Holds {
  const shared = new Map<SnapshotName, SharedHold>();
  const survivors = new Map<string, number>();
  for (const tag of liveTags) survivors.set(tag, (survivors.get(tag) ?? 0) + 1);
  // Nobody before us in this second: an actor that was started again counts from anew.
  const run = `${runId}-${Date.now().toString(36)}`;
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

  /** @returns whether others still need it. */
  function leave(name: SnapshotName, tag: string): boolean {
    const found = shared.get(name);
    if (found?.tag === tag) {
      if (--found.users > 0) return true;
      // Whoever comes from now on must not join what is being released.
      shared.delete(name);
      return false;
    }
    const left = (survivors.get(tag) ?? 1) - 1;
    if (left > 0) survivors.set(tag, left);
    else survivors.delete(tag);
    return left > 0;
  }

  return {
    take: async (name) => {
      let found = shared.get(name);
      if (!found) {
        const tag = `${HOLD_PREFIX}${run}-${++lastTag}`;
        found = { tag, held: hold(name, tag), users: 0 };
        shared.set(name, found);
      }
      found.users++;
      const held = await found.held;
      return held.ok ? succeed(found.tag) : held;
    },
    giveBack: async (name, tag) => {
      if (leave(name, tag)) return succeed(null);
      const released = await zfs.release(tag, name);
      if (!released.ok) return released;
      await records.dropHold({ name, tag });
      return succeed(null);
    },
  };
}
