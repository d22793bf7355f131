import { fail, type Outcome, succeed, tellAbout } from "../../protocol/storage/failures.js";
import { type DatasetName, snapshotNameOf } from "../../protocol/storage/names.js";
import type { DatasetInfo } from "../drivers/driver.js";
import type { IncomingVolume } from "./incoming-volume.js";
import type { ActorContext } from "./operations/context.js";
import type { SourcePlan } from "./pull-plan.js";

function diverged(target: DatasetName, why: string): ReturnType<typeof fail> {
  return tellAbout(fail("dataset.diverged", `${target} ${why}`), { object: target });
}

/** Makes a copy as its snapshot `common` has it, and read-only. Fails as a rollback does. */
export function rollBackCopy(
  { zfs, locks }: Pick<ActorContext, "zfs" | "locks">,
  copy: DatasetName,
  common: DatasetInfo,
): Promise<Outcome<null>> {
  return locks.with([{ name: copy, mode: "tree" }], async () => {
    const closed = await zfs.setProperties(copy, { readonly: true });
    return closed.ok ? zfs.rollback(snapshotNameOf(common), true) : closed;
  });
}

/**
 * Sees to it that a copy is what the next stream builds on. With `force` it is made so: what it has and its source
 * has not is destroyed. Fails: dataset.diverged, and as a rollback does.
 */
export async function readyForIncrement(
  { zfs, locks }: Pick<ActorContext, "zfs" | "locks">,
  target: DatasetName,
  { into, isPublished, isReadonly, snapshots }: IncomingVolume,
  { base, token }: SourcePlan,
  force: boolean,
): Promise<Outcome<null>> {
  const [newest] = snapshots;
  // A stream that broke was let in before, and what it goes on with was not changed since: planAtPeer has looked.
  if (token !== undefined) return succeed(null);
  if (!isPublished && !newest) return succeed(null);
  if (!base) return diverged(target, "has no snapshot in common with its source: rename or delete it");
  const hasNewer = newest?.guid !== base.guid;
  if (!hasNewer && isReadonly) return succeed(null);
  if (!force) {
    return hasNewer
      ? diverged(
          target,
          `has newer snapshots than ${base.id}, from which its source can go on: force destroys them`,
        )
      : diverged(target, "is writable, and what was written would be lost: set readonly, or force");
  }
  const common = snapshots.find(({ guid }) => guid === base.guid);
  if (!common) return diverged(target, "has no snapshot in common with its source: rename or delete it");
  return rollBackCopy({ zfs, locks }, into, common);
}
