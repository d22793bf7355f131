import { randomBytes } from "node:crypto";

/** A guid as ZFS makes them: 64 random bits, of which 0 would mean none. */
export function newGuid(): bigint {
  return randomBytes(8).readBigUInt64LE() || 1n;
}
