import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { Space } from "../driver.js";
import type { Catalog } from "./catalog.js";
import type { VolumeFiles } from "./volume-files.js";

/** How much more fits into an embedded pool. Sizes are bytes. */
export interface SpaceAccounting {
  space(): Promise<Space>;
  /** `allocated`: what the pool's files take. `free`: what the quota and the file system leave. */
  usage(): Promise<{ readonly allocated: Bytes; readonly free: Bytes }>;
  /**
   * What a received volume may have at most. It may be larger than the pool, since it need not be
   * written to its end, but not without bound.
   */
  largestVolume(): Bytes;
  /**
   * Whether a new file may not take so much, because the quota or the room promised to thick
   * volumes would not hold. Other new files without a dataset count.
   */
  lacksRoomFor(addedBytes: bigint): Promise<boolean>;
  /** How much more may be granted to receives. Negative: promised room is taken already. */
  roomForReceive(): Promise<bigint>;
  /** A receive into `folder`, a path, may take so much in all: from now on it counts as taken. */
  noteReceive(folder: string, granted: bigint): void;
  forgetReceive(folder: string): void;
  /** The same of new files that are there already and take so much, when they become a dataset's. */
  isOverfullWith(takenBytes: bigint): Promise<boolean>;
}

/** How many times larger than the pool, or its file system, a thin volume may be. */
const MOST_OVERCOMMITTED = 64n;

/** What is granted to receives. */
interface Granted {
  readonly all: bigint;
  /** What of it is not on the disk yet. */
  readonly unwritten: bigint;
}

interface Totals {
  /** What the pool's files take. */
  used: bigint;
  /** What thick volumes may still write: it is kept for them. */
  reserved: bigint;
  /** What thin volumes and clones may still write: nothing is kept for them. */
  promised: bigint;
}

export function createSpaceAccounting(
  catalog: Catalog,
  files: VolumeFiles,
  quota: Bytes | undefined,
): SpaceAccounting {
  /** By folder. */
  const receives = new Map<string, bigint>();

  async function sumUpGranted(): Promise<Granted> {
    const granted = { all: 0n, unwritten: 0n };
    for (const [folder, bytesGranted] of [...receives]) {
      const taken = await files.receivedBytes(folder);
      granted.all += bytesGranted;
      if (bytesGranted > taken) granted.unwritten += bytesGranted - taken;
    }
    return granted;
  }

  async function sumUp(): Promise<Totals> {
    const totals: Totals = { used: 0n, reserved: 0n, promised: 0n };
    const snapshotFiles = new Set<string>();
    // A copy, since the catalog may change during the awaits below.
    const datasets = [...catalog.datasets()];
    for (const snapshot of datasets) {
      if (snapshot.type !== "snapshot") continue;
      totals.used += snapshot.allocated;
      snapshotFiles.add(snapshot.file);
    }
    for (const volume of datasets) {
      if (volume.type !== "volume") continue;
      // A volume that was destroyed meanwhile takes nothing.
      const allocated = await files.allocatedBytes(volume.file).catch(() => bytes(0));
      // A received volume shares the file of its snapshot, which is counted already.
      if (!snapshotFiles.has(volume.file)) totals.used += allocated;
      const unwritten = volume.volsize > allocated ? volume.volsize - allocated : 0n;
      if (volume.reserved) totals.reserved += unwritten;
      else if (!volume.readonly) totals.promised += unwritten;
    }
    return totals;
  }

  /** The totals, and what the quota and the file system leave: negative when the quota was lowered. */
  async function sumUpWithFree(): Promise<Totals & { readonly free: bigint }> {
    const [disk, totals, granted] = await Promise.all([files.available(), sumUp(), sumUpGranted()]);
    const left = disk - granted.unwritten;
    // A new file counts when its dataset is there: until then whoever makes it has reserved its room.
    const available = files.sharesBlocks ? left : left + files.unpublishedBytes();
    const unused = quota === undefined ? available : quota - totals.used - granted.all;
    return { ...totals, free: lesser(unused, available) };
  }

  /** `ofQuota`, `ofDisk`: bytes that are to come on top of the datasets, and of what the disk has. */
  async function lacksRoom(ofQuota: bigint, ofDisk: bigint): Promise<boolean> {
    const [available, { used, reserved }] = await Promise.all([files.available(), sumUp()]);
    if (quota !== undefined && used + reserved + ofQuota > quota) return true;
    // A copy that shares its blocks takes nothing of the disk.
    return !files.sharesBlocks && available - reserved < ofDisk;
  }

  return {
    async space() {
      const { free, reserved, promised } = await sumUpWithFree();
      return { available: bytes(atLeastZero(free - reserved)), promised: bytes(promised) };
    },
    async usage() {
      const { free, used } = await sumUpWithFree();
      return { allocated: bytes(used), free: bytes(atLeastZero(free)) };
    },
    largestVolume: () => bytes(lesser(quota ?? files.totalBytes(), files.totalBytes()) * MOST_OVERCOMMITTED),
    async lacksRoomFor(addedBytes) {
      const granted = await sumUpGranted();
      const ofQuota = addedBytes + files.unpublishedBytes() + granted.all;
      return lacksRoom(ofQuota, addedBytes + granted.unwritten);
    },
    async roomForReceive() {
      const [disk, { used, reserved }, granted] = await Promise.all([
        files.available(),
        sumUp(),
        sumUpGranted(),
      ]);
      const ofDisk = disk - reserved - granted.unwritten;
      if (quota === undefined) return ofDisk;
      return lesser(ofDisk, quota - used - reserved - files.unpublishedBytes() - granted.all);
    },
    noteReceive: (folder, granted) => void receives.set(folder, granted),
    forgetReceive: (folder) => void receives.delete(folder),
    isOverfullWith: (takenBytes) => lacksRoom(takenBytes, 0n),
  };
}

/** Math.min takes no bigint. */
function lesser(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}

function atLeastZero(value: bigint): bigint {
  return value > 0n ? value : 0n;
}
