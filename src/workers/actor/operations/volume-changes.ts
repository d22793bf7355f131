import { fail, failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import { childOf, type DatasetName, datasetOf, isWithin } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type { VolumeRecord } from "../../../protocol/storage/records.js";
import { trashOf } from "../../../protocol/storage/trash-name.js";
import type { FoundDataset } from "../../drivers/driver.js";
import { cloneVolume } from "./cloned-volume.js";
import type { ActorContext } from "./context.js";
import { emptyTrash } from "./image-trash.js";
import { awaitDevice, mibText, noSpaceWith, volumeRecord } from "./volumes.js";

type VolumeChanges = Pick<
  OperationHandlers,
  "ResizeVolume" | "RenameVolume" | "PromoteVolume" | "CloneSnapshot" | "SetVolume" | "GetVolumeProperties"
>;

/** Most renames of an origin that one promotion follows. */
const MOVES_FOLLOWED = 5;

/** What changes a volume that is there, but for its data. */
export function volumeChanges(context: ActorContext): VolumeChanges {
  const { pool, zfs, locks } = context;

  /** Fails: dataset.not_found, dataset.wrong_type. */
  async function getVolume(name: DatasetName): Promise<Outcome<FoundDataset>> {
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

  /**
   * The volume that a clone was made of. Fails: dataset.wrong_type (no clone), dataset.protected: an image
   * without its snapshot is none.
   */
  async function getOriginVolume(name: DatasetName): Promise<Outcome<DatasetName>> {
    const found = await getVolume(name);
    if (!found.ok) return found;
    const { origin } = found.value;
    if (origin === undefined) return fail("dataset.wrong_type", "not a clone");
    // An image in the trash is nobody's any more.
    const isImage = isWithin(origin, childOf(pool, "images")) && !origin.startsWith(trashOf(pool, ""));
    if (!isImage) return succeed(datasetOf(origin));
    return fail("dataset.protected", `${name} is a clone of an image, which would lose ${origin}`);
  }

  /** @returns undefined if the clone has another origin by now, whose name is not locked. */
  async function promoteFrom(
    name: DatasetName,
    source: DatasetName,
  ): Promise<Outcome<VolumeRecord> | undefined> {
    const both = [name, source].map((each) => ({ name: each, mode: "tree" }) as const);
    return locks.with(both, async () => {
      const current = await getOriginVolume(name);
      if (!current.ok) return current;
      if (current.value !== source) return undefined;
      const promoted = await zfs.promote(name);
      return promoted.ok ? changedRecord(name) : promoted;
    });
  }

  /** The record of a volume with its settings, as they are. */
  async function recordWithSettings(name: DatasetName): Promise<Outcome<VolumeRecord>> {
    const found = await getVolume(name);
    if (!found.ok) return found;
    const settings = await zfs.settingsOf(name);
    return settings.ok
      ? succeed({ ...volumeRecord(context, found.value), settings: settings.value })
      : settings;
  }

  return {
    SetVolume: ({ name, changes }) =>
      locks.with([{ name, mode: "one" }], async () => {
        const before = await getVolume(name);
        if (!before.ok) return before;
        const changed = await zfs.setProperties(name, changes);
        if (!changed.ok) return noSpaceWith(context, changed, before.value.volsize, "provisioning");
        return recordWithSettings(name);
      }),

    GetVolumeProperties: ({ name }) => recordWithSettings(name),

    async PromoteVolume({ name }) {
      for (let moves = 0; moves < MOVES_FOLLOWED; moves++) {
        const source = await getOriginVolume(name);
        if (!source.ok) return source;
        const promoted = await promoteFrom(name, source.value);
        // What it was a clone of is a clone of it now.
        if (promoted) await emptyTrash(context);
        if (promoted) return promoted;
      }
      return fail("dataset.busy", `the origin of ${name} is renamed again and again`);
    },

    CloneSnapshot: async ({ name, target }) => {
      const found = await zfs.find(name);
      if (!found.ok) return found;
      if (found.value === undefined) return failed.notFound;
      // Only snapshots of volumes have a size.
      if (found.value.volsize === 0n) return fail("dataset.wrong_type", "not a snapshot of a volume");
      return cloneVolume(context, name, target);
    },

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
