import { fail, failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { childOf, type DatasetName, datasetOf, devicePath } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type { CompleteImage, DiskRecord, GuestRecord } from "../../../protocol/storage/records.js";
import { bytes } from "../../../protocol/storage/units.js";
import type { LockRequest } from "../dataset-locks.js";
import type { FetchQueue } from "../fetch-queue.js";
import type { ActorContext } from "./context.js";
import { getCompleteImage } from "./images.js";
import { awaitDevice } from "./volumes.js";

type GuestOperations = Pick<OperationHandlers, "VerifyDisks" | "CreateGuestDisks" | "DeleteGuestsDisks">;

/** A disk as it shall be: a clone of `image`, or (without one) a new volume. */
interface DiskPlan {
  readonly record: DiskRecord;
  readonly volume: DatasetName;
  readonly image: CompleteImage | undefined;
}

export function guestOperations(context: ActorContext, fetches: FetchQueue<CompleteImage>): GuestOperations {
  const { pool, zfs, locks, log } = context;
  const guestsRoot = childOf(pool, "guests");
  /** What creations under way have been promised and the pool may not show yet. */
  let promisedBytes = 0n;
  /** The sum of all promises ever made, to tell which were made since a moment. */
  let everPromisedBytes = 0n;

  /** Looks up images and fills in sizes. Fails: image.not_found, dataset.busy. */
  function planDisks(guest: GuestRecord): Outcome<readonly DiskPlan[]> {
    const plans: DiskPlan[] = [];
    for (const [index, disk] of guest.disks.entries()) {
      const volume = childOf(guestsRoot, `${guest.id}/disk-${index}`);
      if (disk.image === "") {
        plans.push({ record: disk, volume, image: undefined });
        continue;
      }
      const image = getCompleteImage(context, fetches, disk.image);
      if (!image.ok) return image;
      plans.push({ record: { ...disk, size: image.value.size }, volume, image: image.value });
    }
    return succeed(plans);
  }

  /**
   * Tells the disks that don't exist yet from those that are kept, which get the size they have.
   * Fails: dataset.exists where something else has a disk's name.
   */
  async function sort(
    plans: readonly DiskPlan[],
  ): Promise<Outcome<{ readonly absent: readonly DiskPlan[]; readonly all: readonly DiskPlan[] }>> {
    const found = await Promise.all(plans.map((plan) => zfs.find(plan.volume)));
    const absent: DiskPlan[] = [];
    const all: DiskPlan[] = [];
    for (const [index, plan] of plans.entries()) {
      const outcome = found[index];
      if (!outcome?.ok) return outcome ?? failed.notFound;
      if (outcome.value === undefined) {
        absent.push(plan);
        all.push(plan);
        continue;
      }
      const { type, volsize } = outcome.value;
      if (type !== "volume") return fail("dataset.exists", `${plan.volume} exists and is no volume`);
      all.push({ ...plan, record: { ...plan.record, size: volsize } });
    }
    return succeed({ absent, all });
  }

  /**
   * Checks that there is room for disks; `take` is called in the moment that it is found.
   * Fails: pool.no_space.
   */
  async function checkRoom(
    plans: readonly DiskPlan[],
    take: (neededBytes: bigint) => void,
  ): Promise<Outcome<null>> {
    const needed = plans.reduce((sum, plan) => sum + plan.record.size, 0n);
    // A promise that was kept while we read may be missing in what we read: it counts too.
    const before = { promised: promisedBytes, ever: everPromisedBytes };
    const space = await zfs.space(guestsRoot);
    if (!space.ok) return space;
    const underWay = before.promised + everPromisedBytes - before.ever;
    const room = space.value.available - space.value.promised - underWay;
    if (needed <= room) {
      take(needed);
      return succeed(null);
    }
    return fail(
      "pool.no_space",
      failed.noSpace.failure.message,
      `${needed} bytes are needed, ${room > 0n ? room : 0n} are free and not promised`,
    );
  }

  /** Promises room to a creation, which gives the promise back when the pool shows what it took. */
  async function promiseRoom(plans: readonly DiskPlan[]): Promise<Outcome<() => void>> {
    let promised = 0n;
    // At once, not after an await: two that were told of the same room must not both take it.
    const checked = await checkRoom(plans, (neededBytes) => {
      promised = neededBytes;
      promisedBytes += neededBytes;
      everPromisedBytes += neededBytes;
    });
    if (!checked.ok) return checked;
    return succeed(() => {
      promisedBytes -= promised;
    });
  }

  async function createDisk(plan: DiskPlan): Promise<Outcome<null>> {
    const made = plan.image
      ? await zfs.clone(plan.image.snapshot, plan.volume)
      : await zfs.createVolume(plan.volume, bytes(plan.record.size));
    if (!made.ok) return made;
    await awaitDevice(context, plan.volume);
    return succeed(null);
  }

  /** Creates what is missing; removes it again when one of it fails. */
  async function createAll(guestRoot: DatasetName, absent: readonly DiskPlan[]): Promise<Outcome<null>> {
    const before = await zfs.find(guestRoot);
    if (!before.ok) return before;
    const made: DatasetName[] = before.value === undefined ? [guestRoot] : [];
    for (const plan of absent) {
      const created = await createDisk(plan);
      if (created.ok) {
        made.push(plan.volume);
        continue;
      }
      // A command that was given up may have made its disk; what exists already was another's.
      if (created.failure.code !== "dataset.exists") made.push(plan.volume);
      for (const name of made.reverse()) {
        const removed = await zfs.destroy(name, false);
        if (removed.ok || removed.failure.code === "dataset.not_found") continue;
        log.error("a disk of a failed call could not be removed", { dataset: name, ...removed.failure });
      }
      return created;
    }
    return succeed(null);
  }

  function withPlaces(guest: GuestRecord, plans: readonly DiskPlan[]): GuestRecord {
    return {
      ...guest,
      disks: plans.map(({ record, volume }) => ({
        ...record,
        volume,
        source: devicePath(volume, zfs.devices),
      })),
    };
  }

  return {
    async VerifyDisks({ guest }) {
      const plans = planDisks(guest);
      if (!plans.ok) return plans;
      const disks = await sort(plans.value);
      if (!disks.ok) return disks;
      const { absent, all } = disks.value;
      const checked = await checkRoom(absent, () => {});
      if (!checked.ok) return checked;
      return succeed({ ...guest, disks: all.map((plan) => plan.record) });
    },

    async CreateGuestDisks({ guest }) {
      const plans = planDisks(guest);
      if (!plans.ok) return plans;
      const guestRoot = childOf(guestsRoot, guest.id);
      const wanted: LockRequest[] = [{ name: guestRoot, mode: "tree" }];
      for (const { image } of plans.value) {
        if (image) wanted.push({ name: datasetOf(image.snapshot), mode: "keep" });
      }
      return locks.with(wanted, async () => {
        const disks = await sort(plans.value);
        if (!disks.ok) return disks;
        const { absent, all } = disks.value;
        if (absent.length === 0) return succeed(withPlaces(guest, all));
        const promise = await promiseRoom(absent);
        if (!promise.ok) return promise;
        try {
          const created = await createAll(guestRoot, absent);
          return created.ok ? succeed(withPlaces(guest, all)) : created;
        } finally {
          promise.value();
        }
      });
    },

    async DeleteGuestsDisks({ guest }) {
      const guestRoot = childOf(guestsRoot, guest.id);
      return locks.with([{ name: guestRoot, mode: "tree" }], async () => {
        const destroyed = await zfs.destroy(guestRoot, true);
        if (!destroyed.ok && destroyed.failure.code !== "dataset.not_found") return destroyed;
        return succeed({ ...guest, disks: [] });
      });
    },
  };
}
