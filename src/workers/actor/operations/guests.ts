import {
  fail,
  failed,
  internalFailure,
  type Outcome,
  succeed,
  tellAbout,
} from "../../../protocol/storage/failures.js";
import { childOf, type DatasetName, datasetOf, devicePath } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type {
  CompleteImage,
  DiskRecord,
  GuestRecord,
  QuotaRecord,
} from "../../../protocol/storage/records.js";
import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { CopyingChange, PreparedCopies } from "../../drivers/driver.js";
import type { LockRequest } from "../dataset-locks.js";
import type { FetchQueue } from "../fetch-queue.js";
import type { ActorContext } from "./context.js";
import { withCopies } from "./copies.js";
import { emptyTrash } from "./image-trash.js";
import { forgetLostImages, getCompleteImage } from "./present-images.js";
import type { SpaceReservation, SpaceReservations } from "./space-reservations.js";
import { awaitDevice, mibText } from "./volumes.js";

type GuestOperations = Pick<
  OperationHandlers,
  "VerifyDisks" | "CreateGuestDisks" | "DeleteGuestsDisks" | "GetGuestQuota" | "SetGuestQuota"
>;

/** A disk of a guest, with its volume. It becomes a clone of `image`, or without one a new volume. */
interface DiskPlan {
  readonly record: DiskRecord;
  readonly volume: DatasetName;
  readonly image: CompleteImage | undefined;
}

/** The plans of a guest's disks, compared with the pool. */
interface ComparedPlans {
  /** Disks without a volume in the pool. */
  readonly missing: readonly DiskPlan[];
  /** All disks in the guest's order. Those that exist have the size of their volume. */
  readonly all: readonly DiskPlan[];
}

/** What a disk has the driver copy, unless the disk exists. */
function copyingChange({ image, volume }: DiskPlan): readonly CopyingChange[] {
  return image ? [{ clone: image.snapshot, target: volume }] : [];
}

function totalBytes(plans: readonly DiskPlan[]): bigint {
  return plans.reduce((sum, plan) => sum + plan.record.size, 0n);
}

export function guestOperations(
  context: ActorContext,
  fetches: FetchQueue<CompleteImage>,
  reservations: SpaceReservations,
): GuestOperations {
  const { pool, zfs, locks, records, log } = context;
  const guestsRoot = childOf(pool, "guests");

  /** Finds the images of a guest's disks, and their sizes. Fails: image.not_found, dataset.busy. */
  async function planDisks(guest: GuestRecord): Promise<Outcome<readonly DiskPlan[]>> {
    const ids = [...new Set(guest.disks.map((disk) => disk.image))].filter((id) => id !== "");
    // All at once, so that they share a look-up.
    const found = await Promise.all(ids.map((id) => getCompleteImage(context, fetches, id)));
    const images = new Map(ids.map((id, index) => [id, found[index] ?? failed.imageNotFound]));
    const plans: DiskPlan[] = [];
    for (const [index, disk] of guest.disks.entries()) {
      const volume = childOf(guestsRoot, `${guest.id}/disk-${index}`);
      if (disk.image === "") {
        const size = zfs.volumeSize(disk.size);
        plans.push({ record: { ...disk, size }, volume, image: undefined });
        continue;
      }
      const image = images.get(disk.image) ?? failed.imageNotFound;
      if (!image.ok) return image;
      plans.push({ record: { ...disk, size: image.value.size }, volume, image: image.value });
    }
    return succeed(plans);
  }

  /** Looks up the volumes of planned disks. Fails: dataset.exists if one of the names is no volume's. */
  async function compareWithPool(plans: readonly DiskPlan[]): Promise<Outcome<ComparedPlans>> {
    const found = await Promise.all(plans.map((plan) => zfs.findSize(plan.volume)));
    const missing: DiskPlan[] = [];
    const all: DiskPlan[] = [];
    for (const [index, plan] of plans.entries()) {
      const outcome = found[index];
      if (!outcome?.ok) return outcome ?? failed.notFound;
      if (outcome.value === undefined) {
        missing.push(plan);
        all.push(plan);
        continue;
      }
      const { type, size } = outcome.value;
      if (type !== "volume") return fail("dataset.exists", `${plan.volume} exists and is no volume`);
      all.push({ ...plan, record: { ...plan.record, size } });
    }
    return succeed({ missing, all });
  }

  async function createDisk(plan: DiskPlan, copies: PreparedCopies): Promise<Outcome<null>> {
    const created = plan.image
      ? await zfs.clone(plan.image.snapshot, plan.volume, copies)
      : await zfs.createVolume(plan.volume, bytes(plan.record.size));
    if (!created.ok) {
      // Destroyed by others since the plan was made.
      if (plan.image && created.failure.code === "dataset.not_found")
        await forgetLostImages(context, plan.image.snapshot);
      return created;
    }
    await awaitDevice(context, plan.volume);
    return succeed(null);
  }

  /**
   * Creates the missing disks at once, each of which ends its part of the reservation. If one
   * fails, destroys what this call has created, and fails as the first of them.
   */
  async function createDisks(
    guestRoot: DatasetName,
    missing: readonly DiskPlan[],
    copies: PreparedCopies,
    reservation: SpaceReservation,
  ): Promise<Outcome<null>> {
    const before = await zfs.findSize(guestRoot);
    if (!before.ok) return before;
    const ends = await Promise.all(
      missing.map(async (plan) => {
        const outcome = await createDisk(plan, copies).catch(internalFailure);
        if (outcome.ok) reservation.shrink(plan.record.size);
        return { outcome, volume: plan.volume };
      }),
    );
    const failure = ends.find(({ outcome }) => !outcome.ok)?.outcome;
    if (!failure) return succeed(null);
    const created: DatasetName[] = before.value === undefined ? [guestRoot] : [];
    for (const { outcome, volume } of ends) {
      // A command that timed out may have created its disk all the same. A disk that existed before
      // is not ours to destroy.
      if (outcome.ok || outcome.failure.code !== "dataset.exists") created.push(volume);
    }
    await removeCreated(created);
    return failure;
  }

  /** Destroys datasets, the last first. Logs what it can't destroy: the call has failed already. */
  async function removeCreated(created: readonly DatasetName[]): Promise<void> {
    for (const name of [...created].reverse()) {
      const removed = await zfs.destroy(name, false);
      if (removed.ok || removed.failure.code === "dataset.not_found") continue;
      log.error("a disk of a failed call could not be removed", { dataset: name, ...removed.failure });
    }
  }

  /** The guest with the volume and the device of each disk. */
  function withDevices(guest: GuestRecord, plans: readonly DiskPlan[]): GuestRecord {
    return {
      ...guest,
      disks: plans.map(({ record, volume }) => ({
        ...record,
        volume,
        source: devicePath(volume, zfs.devices),
      })),
    };
  }

  /** How much a guest may take, and takes. Undefined: it has no dataset. */
  async function quotaOf(name: DatasetName): Promise<Outcome<QuotaRecord | undefined>> {
    const found = await zfs.quotaOf(name);
    if (found.ok) return succeed({ name, ...found.value });
    return found.failure.code === "dataset.not_found" ? succeed(undefined) : found;
  }

  async function setQuota(name: DatasetName, quota: Bytes): Promise<Outcome<QuotaRecord>> {
    const before = await quotaOf(name);
    if (!before.ok) return before;
    const used = before.value?.used ?? bytes(0);
    if (quota > 0n && quota < used) {
      const refused = fail("request.invalid", "quota: the guest takes more");
      return tellAbout(refused, {
        object: name,
        field: "quota",
        found: mibText(used),
        wanted: mibText(quota),
      });
    }
    if (before.value === undefined && quota === 0n) return succeed({ name, quota, used });
    const set = await zfs.setQuota(name, quota);
    if (!set.ok && set.failure.code === "dataset.not_found") {
      const made = await zfs.ensureFilesystem(name);
      const again = made.ok ? await zfs.setQuota(name, quota) : made;
      if (!again.ok) return again;
    } else if (!set.ok) return set;
    const after = await quotaOf(name);
    return after.ok ? succeed(after.value ?? { name, quota, used }) : after;
  }

  return {
    async GetGuestQuota({ name }) {
      const found = await quotaOf(name);
      return found.ok ? succeed(found.value ?? { name, quota: bytes(0), used: bytes(0) }) : found;
    },

    SetGuestQuota: ({ name, quota }) => locks.with([{ name, mode: "one" }], () => setQuota(name, quota)),

    async VerifyDisks({ guest }) {
      const plans = await planDisks(guest);
      if (!plans.ok) return plans;
      const compared = await compareWithPool(plans.value);
      if (!compared.ok) return compared;
      const { missing, all } = compared.value;
      const checked = await reservations.check(totalBytes(missing));
      if (!checked.ok) return checked;
      return succeed({ ...guest, disks: all.map((plan) => plan.record) });
    },

    async CreateGuestDisks({ guest }) {
      const plans = await planDisks(guest);
      if (!plans.ok) return plans;
      const guestRoot = childOf(guestsRoot, guest.id);
      const requests: LockRequest[] = [{ name: guestRoot, mode: "tree" }];
      for (const { image } of plans.value) {
        if (image) requests.push({ name: datasetOf(image.snapshot), mode: "keep" });
      }
      for (const { image } of plans.value) if (image) await records.markUsed(image.id);
      const create = async (copies: PreparedCopies) => {
        const compared = await compareWithPool(plans.value);
        if (!compared.ok) return compared;
        const { missing, all } = compared.value;
        if (missing.length === 0) return succeed(withDevices(guest, all));
        const reserved = await reservations.reserve(totalBytes(missing));
        if (!reserved.ok) return reserved;
        const reservation = reserved.value;
        try {
          const created = await createDisks(guestRoot, missing, copies, reservation);
          return created.ok ? succeed(withDevices(guest, all)) : created;
        } finally {
          reservation.end();
        }
      };
      const created = await withCopies(zfs, plans.value.flatMap(copyingChange), (copies) =>
        locks.with(requests, () => create(copies)),
      );
      // Its clones are gone again.
      if (!created.ok) await emptyTrash(context);
      return created;
    },

    async DeleteGuestsDisks({ guest }) {
      const guestRoot = childOf(guestsRoot, guest.id);
      const deleted = await locks.with([{ name: guestRoot, mode: "tree" }], async () => {
        const destroyed = await zfs.destroy(guestRoot, true);
        if (!destroyed.ok && destroyed.failure.code !== "dataset.not_found") return destroyed;
        return succeed({ ...guest, disks: [] });
      });
      await emptyTrash(context);
      return deleted;
    },
  };
}
