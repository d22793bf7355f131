import { type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { datasetOf, type SnapshotName, tagOf } from "../../../protocol/storage/names.js";
import { COPY_TAG } from "../../../protocol/storage/partial-name.js";
import { HOLD_PREFIX } from "../../drivers/driver.js";
import type { HoldRecord } from "../record-file.js";
import type { ActorContext } from "./context.js";

/** Whether a snapshot that we hold was made for a copy of its volume. */
export function isCopySnapshot(name: SnapshotName): boolean {
  return tagOf(name).startsWith(COPY_TAG);
}

/** Where a snapshot is by now whose dataset may have been renamed. */
async function findHeld(
  zfs: ActorContext["zfs"],
  { name, tag }: HoldRecord,
): Promise<Outcome<SnapshotName | undefined>> {
  const found = await zfs.findSize(name);
  if (!found.ok) return found;
  if (found.value !== undefined) return succeed(name);
  const listed = await zfs.listHolds(HOLD_PREFIX);
  return listed.ok ? succeed(listed.value.find((hold) => hold.tag === tag)?.name) : listed;
}

/** Releases the hold of a copy and destroys the snapshot that was made for it, wherever that is. Takes the locks. */
export async function removeCopySnapshot(
  { zfs, locks }: Pick<ActorContext, "zfs" | "locks">,
  held: HoldRecord,
): Promise<Outcome<null>> {
  const at = await findHeld(zfs, held);
  if (!at.ok) return at;
  const { value: name } = at;
  if (name === undefined) return succeed(null);
  const both = [
    { name: datasetOf(name), mode: "part" },
    { name, mode: "one" },
  ] as const;
  return locks.with(both, async () => {
    const released = await zfs.release(held.tag, name);
    if (!released.ok) return released;
    const gone = await zfs.destroy(name, false);
    return gone.ok || gone.failure.code === "dataset.not_found" ? succeed(null) : gone;
  });
}
