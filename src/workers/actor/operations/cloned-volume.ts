import { failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import { type DatasetName, datasetOf, type SnapshotName } from "../../../protocol/storage/names.js";
import type { VolumeRecord } from "../../../protocol/storage/records.js";
import type { PreparedCopies } from "../../drivers/driver.js";
import type { ActorContext } from "./context.js";
import { withCopies } from "./copies.js";
import { forgetLostImages } from "./present-images.js";
import { awaitDevice, volumeRecord } from "./volumes.js";

/**
 * Makes a volume of a snapshot; takes the locks. A target that is a clone of it already is a success.
 * Fails: dataset.not_found, dataset.exists, and as Zfs.clone does.
 */
export function cloneVolume(
  context: ActorContext,
  snapshot: SnapshotName,
  target: DatasetName,
): Promise<Outcome<VolumeRecord>> {
  const { zfs, locks } = context;
  const wanted = [
    { name: datasetOf(snapshot), mode: "keep" },
    { name: target, mode: "one" },
  ] as const;
  const clone = async (copies: PreparedCopies): Promise<Outcome<VolumeRecord>> => {
    const cloned = await zfs.clone(snapshot, target, copies);
    if (!cloned.ok && cloned.failure.code === "dataset.not_found") await forgetLostImages(context, snapshot);
    if (!cloned.ok && cloned.failure.code !== "dataset.exists") return cloned;
    // `zfs clone -p` also succeeds if the target exists, so the target's origin decides. A repeated
    // call succeeds. It fails if another caller's dataset is there, or the parent of one.
    const found = await zfs.find(target);
    if (!found.ok) return found;
    if (found.value === undefined) return failed.notFound;
    if (found.value.origin !== snapshot) {
      const present = found.value.origin ?? "none";
      return tellAbout(failed.exists, { field: "origin", found: present, wanted: snapshot });
    }
    await awaitDevice(context, target);
    return succeed(volumeRecord(context, found.value));
  };
  return withCopies(zfs, [{ clone: snapshot, target }], (copies) => locks.with(wanted, () => clone(copies)));
}
