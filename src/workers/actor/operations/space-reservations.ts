import { fail, failed, type Outcome, succeed, tellAbout } from "../../../protocol/storage/failures.js";
import type { Space } from "../../drivers/driver.js";

const MIB = 1_048_576n;

/**
 * Keeps operations that create disks at the same time from counting on the same free space: the
 * pool reports it as free until a disk exists.
 */
export interface SpaceReservations {
  /** Checks that so much is free and not reserved. Fails: pool.no_space. */
  check(neededBytes: bigint): Promise<Outcome<null>>;
  /** Reserves space after the same check. */
  reserve(neededBytes: bigint): Promise<Outcome<SpaceReservation>>;
}

/** Space that is kept for disks until the pool itself counts them. */
export interface SpaceReservation {
  /** A disk of that size exists: from now on the pool counts it. */
  shrink(bytes: bigint): void;
  /** Ends what is left. To be called when all disks exist, or one has failed. */
  end(): void;
}

/** `readSpace` reads what the pool has free now, as Zfs has it. */
export function createSpaceReservations(
  readSpace: (neededBytes: bigint) => Promise<Outcome<Space>>,
): SpaceReservations {
  /** The sum of the reservations that have not ended. */
  let reservedBytes = 0n;
  /** The sum of all reservations so far. It only grows; its growth during a read was reserved meanwhile. */
  let everReservedBytes = 0n;

  /** Calls `use` if there is room. No await lies between, so no other caller can use the same room. */
  async function withRoom<T>(neededBytes: bigint, use: () => T): Promise<Outcome<T>> {
    const before = { reserved: reservedBytes, everReserved: everReservedBytes };
    const space = await readSpace(neededBytes + before.reserved);
    if (!space.ok) return space;
    // A reservation that ended during the read counts too: the result may not include its disks.
    const reserved = before.reserved + everReservedBytes - before.everReserved;
    const room = space.value.available - space.value.promised - reserved;
    if (neededBytes <= room) return succeed(use());
    const free = room > 0n ? room : 0n;
    const noSpace = fail(
      "pool.no_space",
      failed.noSpace.failure.message,
      `${neededBytes} bytes are needed, ${free} are free and not promised`,
    );
    return tellAbout(noSpace, {
      field: "guest.disks",
      found: `${free / MIB} MiB free and not promised`,
      wanted: `${neededBytes / MIB} MiB`,
    });
  }

  return {
    check: (neededBytes) => withRoom(neededBytes, () => null),
    reserve: (neededBytes) =>
      withRoom(neededBytes, () => {
        reservedBytes += neededBytes;
        everReservedBytes += neededBytes;
        /** What no disk has taken yet. */
        let left = neededBytes;
        const shrink = (size: bigint) => {
          const part = size < left ? size : left;
          left -= part;
          reservedBytes -= part;
        };
        return { shrink, end: () => shrink(left) };
      }),
  };
}
