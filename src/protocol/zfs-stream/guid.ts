import { randomBytes } from "node:crypto";

/** A new guid, made as ZFS does: 64 random bits, but never 0, which means "none". */
export function newGuid(): bigint {
  return randomBytes(8).readBigUInt64LE() || 1n;
}
