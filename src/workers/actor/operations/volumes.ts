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
import { PARTIAL_PREFIX } from "../reconcile.js";
import type { ActorContext } from "./context.js";

type VolumeOperations = Pick<
  OperationHandlers,
  "ListVolumes" | "CreateVolume" | "GetVolume" | "DeleteDataset"
>;

export function volumeRecord(
  { zfs }: ActorContext,
  { name, volsize }: Pick<DatasetInfo, "name" | "volsize">,
): VolumeRecord {
  return { name, size: volsize, device: devicePath(name as DatasetName, zfs.devices) };
}

/** Waits for a volume's device; an answer does not fail for it, the volume is there. */
export async function awaitDevice({ zfs, log }: ActorContext, volume: DatasetName): Promise<void> {
  if (!(await zfs.waitForDevice(volume))) log.warn("the device did not appear in time", { volume });
}

/** Receives under way are nobody's volumes yet. */
export function isPublished(info: DatasetInfo): boolean {
  return !info.name.includes(`/images/${PARTIAL_PREFIX}`);
}

/** Whether an image is lost with a dataset and all below it, or with a snapshot and its like below. */
function goesWith({ volume, snapshot }: CompleteImage, removed: DatasetName | SnapshotName): boolean {
  if (!isSnapshotName(removed)) return isWithin(volume, removed);
  return isWithin(datasetOf(snapshot), datasetOf(removed)) && tagOf(snapshot) === tagOf(removed);
}

/** Forgets the images whose volume or snapshot went with `removed`. */
export async function forgetImagesWithin(
  context: ActorContext,
  removed: readonly (DatasetName | SnapshotName)[],
): Promise<void> {
  for (const image of [...context.records.images.values()]) {
    const gone = removed.some((name) => goesWith(image, name));
    if (gone) await context.records.dropImage(image.id);
  }
}

/** Forgets the images of `volume` whose snapshot is not there any more. */
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
        // `create -p` succeeds where the volume exists: only its size tells whose it is.
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
