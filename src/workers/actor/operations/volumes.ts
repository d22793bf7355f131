import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import {
  type DatasetName,
  datasetOf,
  devicePath,
  isSnapshotName,
  isWithin,
  type SnapshotName,
  tagOf,
} from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type { CompleteImage, VolumeRecord } from "../../../protocol/storage/records.js";
import type { DatasetInfo } from "../../drivers/driver.js";
import { isPublished } from "../partial-receive.js";
import type { ActorContext } from "./context.js";

type VolumeOperations = Pick<
  OperationHandlers,
  "ListVolumes" | "CreateVolume" | "GetVolume" | "DeleteDataset"
>;

export function volumeRecord(
  { zfs }: ActorContext,
  { name, volsize }: Pick<DatasetInfo, "name" | "volsize">,
): VolumeRecord {
  return { name, size: volsize, device: devicePath(name, zfs.devices) };
}

/** Waits for a volume's device. A missing device is logged and no failure: the volume exists. */
export async function awaitDevice({ zfs, log }: ActorContext, volume: DatasetName): Promise<void> {
  if (!(await zfs.waitForDevice(volume))) log.warn("the device did not appear in time", { volume });
}

/**
 * Whether a recursive destroy of `removed` destroys an image too. If `removed` is a snapshot, the
 * snapshots of the same tag on all datasets below are destroyed with it.
 */
function isLostWith({ volume, snapshot }: CompleteImage, removed: DatasetName | SnapshotName): boolean {
  if (!isSnapshotName(removed)) return isWithin(volume, removed);
  return isWithin(datasetOf(snapshot), datasetOf(removed)) && tagOf(snapshot) === tagOf(removed);
}

/** Drops the records of images that were destroyed with any of `removed`. */
export async function forgetImagesWithin(
  context: ActorContext,
  removed: readonly (DatasetName | SnapshotName)[],
): Promise<void> {
  for (const image of [...context.records.images.values()]) {
    const isLost = removed.some((name) => isLostWith(image, name));
    if (isLost) await context.records.dropImage(image.id);
  }
}

/** Drops the records of images in `volume` whose snapshot no longer exists. */
export async function forgetImagesWithoutSnapshot(
  { zfs, records }: ActorContext,
  volume: DatasetName,
): Promise<void> {
  for (const { id, snapshot } of [...records.images.values()]) {
    if (datasetOf(snapshot) !== volume) continue;
    const found = await zfs.find(snapshot);
    if (found.ok && found.value === undefined) await records.dropImage(id);
  }
}

export function volumeOperations(context: ActorContext): VolumeOperations {
  const { zfs, locks } = context;
  return {
    async ListVolumes() {
      const found = await zfs.listVolumes();
      return found.ok
        ? succeed(found.value.filter(isPublished).map((info) => volumeRecord(context, info)))
        : found;
    },

    CreateVolume: ({ name, size }) =>
      locks.with([{ name, mode: "one" }], async (): Promise<Outcome<VolumeRecord>> => {
        const created = await zfs.createVolume(name, size);
        if (!created.ok) return created;
        // `zfs create -p` also succeeds if the volume exists, so its size decides. A repeated call
        // succeeds; a volume of another size is another caller's.
        const found = await zfs.find(name);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        if (found.value.volsize !== size) return failed.exists;
        await awaitDevice(context, name);
        return succeed(volumeRecord(context, found.value));
      }),

    async GetVolume({ name }) {
      const found = await zfs.find(name);
      if (!found.ok) return found;
      if (found.value === undefined) return failed.notFound;
      return found.value.type === "volume" ? succeed(volumeRecord(context, found.value)) : failed.notVolume;
    },

    DeleteDataset: ({ name }) => {
      const root = isSnapshotName(name) ? datasetOf(name) : name;
      return locks.with([{ name: root, mode: "tree" }], async (): Promise<Outcome<VolumeRecord>> => {
        const found = await zfs.find(name);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        const destroyed = await zfs.destroy(name, true);
        if (!destroyed.ok) return destroyed;
        await forgetImagesWithin(context, [name]);
        return succeed(volumeRecord(context, found.value));
      });
    },
  };
}
