import {
  type FailedOutcome,
  failed,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import {
  childOf,
  type DatasetName,
  datasetOf,
  devicePath,
  isSnapshotName,
  type SnapshotName,
} from "../../../protocol/storage/names.js";
import type { OperationHandlers, TagFilter } from "../../../protocol/storage/operations.js";
import type { VolumeRecord } from "../../../protocol/storage/records.js";
import type { NewVolumeSettings } from "../../../protocol/storage/volume-settings.js";
import { type DatasetInfo, type Selection, selectFrom } from "../../drivers/driver.js";
import { selectionOf } from "../listed-page.js";
import { isPublished } from "../partial-receive.js";
import type { ActorContext } from "./context.js";
import { emptyTrash } from "./image-trash.js";
import { forgetLostImages } from "./present-images.js";

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

export function mibText(bytes: bigint): string {
  return `${bytes / 1_048_576n} MiB`;
}

/** Says of a pool without room how much was wanted, bytes, and how much there is below its root. */
export async function noSpaceWith(
  { pool, zfs }: ActorContext,
  refused: FailedOutcome,
  wanted: bigint,
  field = "size",
): Promise<FailedOutcome> {
  if (refused.failure.code !== "pool.no_space") return refused;
  const space = await zfs.space(childOf(pool, "guests"));
  const found = space.ok ? `${mibText(space.value.available)} free in pool ${pool}` : undefined;
  return tellAbout(refused, { field, wanted: mibText(wanted), found });
}

function hasTag(values: ReadonlyMap<string, string>, { value }: TagFilter): Selection["isShown"] {
  return ({ name }) => values.has(name) && (value === undefined || values.get(name) === value);
}

/** Clones of a snapshot, or of any snapshot of a volume. Slow: it reads every volume. */
async function listClones(
  zfs: ActorContext["zfs"],
  origin: DatasetName | SnapshotName,
  select: Selection | undefined,
): Promise<Outcome<readonly DatasetInfo[]>> {
  const found = await zfs.listVolumes();
  if (!found.ok) return found;
  const clones = found.value.filter(
    (info) => info.origin === origin || (info.origin && datasetOf(info.origin) === origin),
  );
  return succeed(select ? selectFrom(clones, select) : clones);
}

/** Where a volume that was there before differs from what a request wants: it is another caller's. */
async function findDifference(
  zfs: ActorContext["zfs"],
  name: DatasetName,
  { volblocksize, isThick, tags = {} }: NewVolumeSettings,
): Promise<FailedOutcome | undefined> {
  const found = await zfs.settingsOf(name);
  if (!found.ok) return found;
  const present = found.value;
  if (volblocksize !== undefined && volblocksize !== present.volblocksize) {
    const [has, wanted] = [present.volblocksize, volblocksize].map(String);
    return tellAbout(failed.exists, { field: "volblocksize", found: has, wanted });
  }
  if (isThick !== undefined && isThick !== present.isThick) {
    const [has, wanted] = [present.isThick, isThick].map((each) => (each ? "thick" : "thin"));
    return tellAbout(failed.exists, { field: "provisioning", found: has, wanted });
  }
  const other = Object.entries(tags).find(([tag, value]) => (present.tags[tag] ?? "") !== value);
  if (!other) return undefined;
  const [tag, wanted] = other;
  return tellAbout(failed.exists, { field: `tags.${tag}`, found: present.tags[tag] ?? "none", wanted });
}

export function volumeOperations(context: ActorContext): VolumeOperations {
  const { pool, zfs, locks } = context;

  return {
    async ListVolumes({ tag, origin, ...page }) {
      const tagged = tag && (await zfs.volumesWithTag(tag.name));
      if (tagged && !tagged.ok) return tagged;
      const select = selectionOf(page, tag && tagged && hasTag(tagged.value, tag));
      const found = await (origin === undefined ? zfs.listVolumes(select) : listClones(zfs, origin, select));
      return found.ok
        ? succeed(found.value.filter(isPublished).map((info) => volumeRecord(context, info)))
        : found;
    },

    CreateVolume: ({ name, size: asked, settings }) => {
      // Blocks that a request names divide 1 MiB, and so all sizes.
      const size = settings?.volblocksize === undefined ? zfs.volumeSize(asked) : asked;
      return locks.with([{ name, mode: "one" }], async (): Promise<Outcome<VolumeRecord>> => {
        // zfs says that such a name lacks a dataset, and not that the pool is there.
        if (String(name) === pool) return failed.exists;
        const created = await zfs.createVolume(name, size, settings);
        if (!created.ok) return noSpaceWith(context, created, size);
        // `zfs create -p` also succeeds if the volume exists, so its size decides. A repeated call
        // succeeds; a volume of another size is another caller's.
        const found = await zfs.findSize(name);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        if (found.value.size !== size) {
          const [present, wanted] = [found.value.size, size].map(mibText);
          return tellAbout(failed.exists, { field: "size", found: present, wanted });
        }
        const differs = settings && (await findDifference(zfs, name, settings));
        if (differs) return differs;
        await awaitDevice(context, name);
        return succeed(volumeRecord(context, { name, volsize: size }));
      });
    },

    async GetVolume({ name }) {
      const found = await zfs.findSize(name);
      if (!found.ok) return found;
      if (found.value === undefined) return failed.notFound;
      const { type, size } = found.value;
      return type === "volume" ? succeed(volumeRecord(context, { name, volsize: size })) : failed.notVolume;
    },

    DeleteDataset: async ({ name }) => {
      const root = isSnapshotName(name) ? datasetOf(name) : name;
      const deleted = await locks.with(
        [{ name: root, mode: "tree" }],
        async (): Promise<Outcome<VolumeRecord>> => {
          const found = await zfs.find(name);
          if (!found.ok) return found;
          if (found.value === undefined) return failed.notFound;
          const destroyed = await zfs.destroy(name, true);
          // Also after a failure: it may have stopped half-way.
          await forgetLostImages(context, root);
          if (!destroyed.ok) return destroyed;
          return succeed(volumeRecord(context, found.value));
        },
      );
      await emptyTrash(context);
      return deleted;
    },
  };
}
