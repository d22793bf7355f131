import { fail, failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import type { DatasetName } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type { VolumeRecord } from "../../../protocol/storage/records.js";
import type { DatasetInfo } from "../../drivers/driver.js";
import type { ActorContext } from "./context.js";
import { awaitDevice, mibText, noSpaceWith, volumeRecord } from "./volumes.js";

type VolumeChanges = Pick<OperationHandlers, "ResizeVolume" | "RenameVolume">;

/** What changes a volume that is there, but for its data. */
export function volumeChanges(context: ActorContext): VolumeChanges {
  const { zfs, locks } = context;

  /** Fails: dataset.not_found, dataset.wrong_type. */
  async function getVolume(name: DatasetName): Promise<Outcome<DatasetInfo>> {
    const found = await zfs.find(name);
    if (!found.ok) return found;
    if (found.value === undefined) return failed.notFound;
    return found.value.type === "volume" ? succeed(found.value) : failed.notVolume;
  }

  /** The record of a volume that was changed, as it is now. */
  async function changedRecord(name: DatasetName): Promise<Outcome<VolumeRecord>> {
    const found = await getVolume(name);
    return found.ok ? succeed(volumeRecord(context, found.value)) : found;
  }

  return {
    ResizeVolume: ({ name, size, allowDataLoss }) =>
      locks.with([{ name, mode: "one" }], async () => {
        const before = await getVolume(name);
        if (!before.ok) return before;
        const { volsize } = before.value;
        if (size < volsize && !allowDataLoss) {
          const refused = fail("dataset.would_shrink", "the volume would shrink; allowDataLoss lets it");
          return tellAbout(refused, { field: "size", found: mibText(volsize), wanted: mibText(size) });
        }
        const resized = await zfs.resize(name, size);
        if (!resized.ok) return noSpaceWith(context, resized, size - volsize);
        return changedRecord(name);
      }),

    RenameVolume: ({ name, target }) => {
      const both = [name, target].map((each) => ({ name: each, mode: "tree" }) as const);
      return locks.with(both, async () => {
        const before = await getVolume(name);
        if (!before.ok) return before;
        if (name === target) return succeed(volumeRecord(context, before.value));
        const renamed = await zfs.rename(name, target, true);
        if (!renamed.ok) return renamed;
        await awaitDevice(context, target);
        return changedRecord(target);
      });
    },
  };
}
