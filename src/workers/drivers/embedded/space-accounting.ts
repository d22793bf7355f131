import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { Space } from "../driver.js";
import type { Catalog } from "./catalog.js";
import type { PoolSurvey } from "./pool-survey.js";
import { createSpaceSums } from "./space-sums.js";
import type { VolumeFiles } from "./volume-files.js";

/**
 * How much more fits into an embedded pool. Sizes are bytes. What guests write is not told to us, so
 * the sums of what volumes take grow old. They serve where there is room even if thin volumes have
 * written all that they may; where it is tight, every volume is looked at first. Nothing is refused
 * on old sums.
 */
export interface SpaceAccounting {
  /** `neededBytes`: if so much is surely there, the answer may be older than what guests have just written. */
  space(neededBytes?: bigint): Promise<Space>;
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
  /**
   * How much more may be granted to receives; as much as `neededBytes` or more may be less than there
   * is. Negative: promised room is taken already.
   */
  roomForReceive(neededBytes: bigint): Promise<bigint>;
  /** A receive into `folder`, a path, may take so much in all: from now on it counts as taken. */
  noteReceive(folder: string, granted: bigint): void;
  forgetReceive(folder: string): void;
  /** The same of new files that are there already and take so much, when they become a dataset's. */
  isOverfullWith(takenBytes: bigint): Promise<boolean>;
}

/** How many times larger than the pool, or its file system, a thin volume may be. */
const MOST_OVERCOMMITTED = 64n;

/** How old the sums may get while they are used: a guest that discards blocks of a thick volume may write them again. */
const LOOK_AFTER_MS = 10_000;

/** What is granted to receives. */
interface Granted {
  readonly all: bigint;
  /** What of it is not on the disk yet. */
  readonly unwritten: bigint;
}

/** `seen`: what the files in `volumes/` were just seen to take. */
export function createSpaceAccounting(
  catalog: Catalog,
  files: VolumeFiles,
  quota: Bytes | undefined,
  seen: PoolSurvey["files"],
): SpaceAccounting {
  let known = seen;
  const sums = createSpaceSums((file) => {
    const look = known.get(file);
    return look ? bytes(look.allocated) : files.allocatedNow(file);
  });
  const { totals } = sums;
  for (const dataset of catalog.datasets()) sums.entered(dataset);
  sums.settled();
  // From now on the files themselves are looked at.
  known = new Map();
  catalog.watch(sums);
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

  let lookedAt = performance.now();
  function lookAgain(): Promise<void> {
    lookedAt = performance.now();
    return sums.lookAgain();
  }
  function lookIfOld(): void {
    if (performance.now() - lookedAt > LOOK_AFTER_MS) void lookAgain();
  }

  /** What the quota and the file system leave: negative when the quota was lowered. */
  async function findFree(): Promise<bigint> {
    const [disk, granted] = await Promise.all([files.available(), sumUpGranted()]);
    const left = disk - granted.unwritten;
    // A new file counts when its dataset is there: until then whoever makes it has reserved its room.
    const available = files.sharesBlocks ? left : left + files.unpublishedBytes();
    return quota === undefined ? available : lesser(quota - totals.used - granted.all, available);
  }

  async function findSpace(): Promise<Space> {
    const free = await findFree();
    return { available: bytes(atLeastZero(free - totals.reserved)), promised: bytes(totals.promised) };
  }

  /**
   * `ofQuota`, `ofDisk`: bytes that are to come on top of the datasets, and of what the disk has.
   * `kept`: what thin volumes may have written since they were looked at.
   */
  async function lacksRoomBeside(kept: bigint, ofQuota: bigint, ofDisk: bigint): Promise<boolean> {
    if (quota !== undefined && totals.used + totals.reserved + kept + ofQuota > quota) return true;
    // A copy that shares its blocks takes nothing of the disk.
    return !files.sharesBlocks && (await files.available()) - totals.reserved < ofDisk;
  }

  /** Only a pool in which thin volumes could have taken the room is looked through. */
  async function lacksRoom(ofQuota: bigint, ofDisk: bigint): Promise<boolean> {
    lookIfOld();
    if (!(await lacksRoomBeside(totals.promised, ofQuota, ofDisk))) return false;
    await lookAgain();
    return lacksRoomBeside(0n, ofQuota, ofDisk);
  }

  /** As `roomForReceive`, if thin volumes have written `kept` since they were looked at. */
  async function roomBeside(kept: bigint): Promise<bigint> {
    const [disk, granted] = await Promise.all([files.available(), sumUpGranted()]);
    const ofDisk = disk - totals.reserved - granted.unwritten;
    if (quota === undefined) return ofDisk;
    const taken = totals.used + totals.reserved + kept + files.unpublishedBytes() + granted.all;
    return lesser(ofDisk, quota - taken);
  }

  return {
    async space(neededBytes) {
      if (neededBytes !== undefined) {
        lookIfOld();
        const space = await findSpace();
        if (space.available - space.promised >= neededBytes) return space;
      }
      await lookAgain();
      return findSpace();
    },
    async usage() {
      await lookAgain();
      const free = await findFree();
      return { allocated: bytes(totals.used), free: bytes(atLeastZero(free)) };
    },
    largestVolume: () => bytes(lesser(quota ?? files.totalBytes(), files.totalBytes()) * MOST_OVERCOMMITTED),
    async lacksRoomFor(addedBytes) {
      const granted = await sumUpGranted();
      // The files of staged datasets are not published yet: they would count twice.
      const ofQuota = addedBytes + files.unpublishedBytes() + granted.all - sums.stagedUsed;
      return lacksRoom(ofQuota, addedBytes + granted.unwritten);
    },
    async roomForReceive(neededBytes) {
      const room = await roomBeside(totals.promised);
      if (room >= neededBytes) return room;
      await lookAgain();
      return roomBeside(0n);
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
