import type { FailureCode, Outcome } from "../../../protocol/storage/failures.js";
import { fail, internalFailure, succeed } from "../../../protocol/storage/failures.js";
import type { SnapshotName } from "../../../protocol/storage/names.js";
import type { HoldReport } from "../../../protocol/threads/actor-diagnosis.js";
import { HOLD_PREFIX, type Zfs } from "../../drivers/driver.js";
import type { KnownSnapshot } from "../../drivers/transfers-of-driver.js";
import type { HoldRecord } from "../record-file.js";
import type { ActorContext } from "./context.js";

/**
 * The holds that keep snapshots from being destroyed during their downloads. Downloads of one
 * snapshot at the same time share a hold: the equal tags show main that they may share a send.
 * A snapshot is known by its guid: a rename moves it, and its name may then be another's.
 */
export interface Holds {
  /**
   * Holds a snapshot, and what its stream needs beside it. @returns the holds in this order, each to be released once. When
   * it fails, none is held: as `zfs hold` does, and with records.unavailable. Of a pool that is imported read-only nothing
   * can be destroyed: there the snapshots have no holds.
   */
  acquire(
    snapshot: KnownSnapshot,
    beside?: readonly KnownSnapshot[],
  ): Promise<Outcome<readonly HoldRecord[]>>;
  /**
   * The last download that shares the hold releases it, wherever the snapshot is by then.
   * `name` is its name when it was held. After a failure the caller may try again.
   */
  release(name: SnapshotName, tag: string): Promise<Outcome<null>>;
  /** Those of the downloads that run. */
  list(): readonly HoldReport[];
}

interface SharedHold {
  /** The snapshot, as it was called when it was held. */
  readonly name: SnapshotName;
  readonly tag: string;
  readonly guid: string;
  readonly held: Promise<Outcome<null>>;
  /** Downloads that share the hold. */
  users: number;
}

/** After these failures the hold may be there. */
const UNKNOWN: readonly FailureCode[] = ["command.timed_out", "service.interrupted", "internal"];

/** Most renames of a dataset that one release follows. */
const MOVES_FOLLOWED = 5;

/**
 * Releases a hold, under the snapshot's new name if it was renamed.
 * @returns whether there was such a hold.
 */
export async function releaseHold(
  zfs: Pick<Zfs, "release" | "listHolds">,
  { name, tag }: HoldRecord,
): Promise<Outcome<boolean>> {
  let at = name;
  for (let moves = 0; moves < MOVES_FOLLOWED; moves++) {
    const released = await zfs.release(tag, at);
    if (!released.ok || released.value) return released;
    // A snapshot that is held can't be destroyed, so it was renamed, or somebody released the hold.
    const listed = await zfs.listHolds(HOLD_PREFIX);
    if (!listed.ok) return listed;
    const moved = listed.value.find((hold) => hold.tag === tag);
    if (!moved) return succeed(false);
    at = moved.name;
  }
  return fail("dataset.busy", `the hold ${tag} can't be released: its snapshot is renamed again and again`);
}

/**
 * @param liveTags for each download that started before this actor did and still runs, the tag of its hold.
 * @param releaseLater is given a hold that nobody needs, may be there, and could not be released.
 */
export function createHolds(
  { zfs, records, runId, log }: Pick<ActorContext, "zfs" | "records" | "runId" | "log">,
  liveTags: readonly string[],
  releaseLater: (hold: HoldRecord) => void,
): Holds {
  /** The holds that new downloads may share, by the guid of the snapshot. */
  const shared = new Map<string, SharedHold>();
  /** The same, by tag. */
  const sharedByTag = new Map<string, SharedHold>();
  /** How many of the downloads in `liveTags` still run, by tag. No new download shares these holds. */
  const earlierUsers = new Map<string, number>();
  for (const tag of liveTags) earlierUsers.set(tag, (earlierUsers.get(tag) ?? 0) + 1);
  // A restarted actor counts its tags from 1 again: the time sets them apart from those before.
  const tagPrefix = `${HOLD_PREFIX}${runId}-${Date.now().toString(36)}`;
  /** The number in the newest tag. */
  let lastTag = 0;

  function endSharing(ended: SharedHold): void {
    // The guid may have a newer hold by now.
    if (shared.get(ended.guid) === ended) shared.delete(ended.guid);
    sharedByTag.delete(ended.tag);
  }

  /**
   * The record comes first: without one, a crash would leave a hold that no start knows. Never
   * rejects: a hold that may have been made before an exception is released as after a failure.
   */
  async function hold(hold: HoldRecord): Promise<Outcome<null>> {
    const recorded = await records.putHold(hold);
    if (!recorded.ok) return recorded;
    const held = await zfs.hold(hold.tag, hold.name).catch(internalFailure);
    if (held.ok) return held;
    const { code } = held.failure;
    if (UNKNOWN.includes(code) && !(await releaseHold(zfs, hold)).ok) {
      // The record stays until then: a start knows the hold by it, if there is one.
      releaseLater(hold);
      return held;
    }
    await records.dropHold(hold);
    if (code !== "pool.read_only") return held;
    log.debug("a read-only pool: the snapshot is sent without a hold", { ...hold });
    return succeed(null);
  }

  /** Counts one download less. @returns whether others still use the hold. */
  function removeUser(tag: string): boolean {
    const found = sharedByTag.get(tag);
    if (found) {
      if (--found.users > 0) return true;
      // No new download may join a hold that is being released.
      endSharing(found);
      return false;
    }
    const left = (earlierUsers.get(tag) ?? 1) - 1;
    if (left > 0) earlierUsers.set(tag, left);
    else earlierUsers.delete(tag);
    return left > 0;
  }

  function share({ name, guid }: KnownSnapshot): SharedHold {
    const known = shared.get(guid);
    if (known) return known;
    const tag = `${tagPrefix}-${++lastTag}`;
    const held = hold({ name, tag }).catch(internalFailure);
    const created: SharedHold = { name, tag, guid, held, users: 0 };
    shared.set(guid, created);
    sharedByTag.set(tag, created);
    return created;
  }

  async function acquireOne(snapshot: KnownSnapshot): Promise<Outcome<string>> {
    const found = share(snapshot);
    found.users++;
    const held = await found.held;
    if (held.ok) return succeed(found.tag);
    endSharing(found);
    return held;
  }

  async function release(name: SnapshotName, tag: string): Promise<Outcome<null>> {
    if (removeUser(tag)) return succeed(null);
    const released = await releaseHold(zfs, { name, tag });
    if (!released.ok && released.failure.code !== "pool.read_only") {
      log.warn("a hold could not be released; it is tried again", { name, tag, ...released.failure });
    }
    if (released.ok) await records.dropHold({ tag });
    // A hold from before the pool was imported read-only stays, and so does its record.
    else if (released.failure.code !== "pool.read_only") return released;
    return succeed(null);
  }

  return {
    list: () => [
      ...Array.from(sharedByTag.values(), ({ name, tag, users }) => ({ name, tag, users })),
      ...Array.from(earlierUsers, ([tag, users]) => ({ tag, users })),
    ],
    acquire: async (snapshot, beside = []) => {
      const held: HoldRecord[] = [];
      const acquireInTurn = async (snapshots: readonly KnownSnapshot[]): Promise<Outcome<HoldRecord[]>> => {
        const own: HoldRecord[] = [];
        for (const each of snapshots) {
          const tag = await acquireOne(each);
          if (!tag.ok) return tag;
          own.push({ name: each.name, tag: tag.value });
          held.push({ name: each.name, tag: tag.value });
        }
        return succeed(own);
      };
      const [ofFirst, ofOthers] = await Promise.all([acquireInTurn([snapshot]), acquireInTurn(beside)]);
      if (ofFirst.ok && ofOthers.ok) return succeed([...ofFirst.value, ...ofOthers.value]);
      // Nobody is told of these.
      for (const hold of held) {
        if (!(await release(hold.name, hold.tag)).ok) releaseLater(hold);
      }
      return ofFirst.ok ? ofOthers : ofFirst;
    },
    release,
  };
}
