declare const bytesBrand: unique symbol;
declare const mibBrand: unique symbol;

/** A size in bytes, as all code but the wire uses it. A bigint, because ZFS has 64-bit sizes. */
export type Bytes = bigint & { readonly [bytesBrand]: true };
/** A size in whole MiB, as requests and replies have it. Unsigned 64-bit. */
export type MiB = bigint & { readonly [mibBrand]: true };

export const MAX_UINT64 = 2n ** 64n - 1n;
/** The kernel stores the size of a volume as a signed 64-bit number. */
export const MAX_VOLUME_BYTES = 2n ** 63n - 1n;

const BYTES_PER_MIB = 2n ** 20n;

export function bytes(value: bigint | number): Bytes {
  return BigInt(value) as Bytes;
}

export function mib(value: bigint | number): MiB {
  return BigInt(value) as MiB;
}

export function bytesFromMib(size: MiB): Bytes {
  return (size * BYTES_PER_MIB) as Bytes;
}

/** Rounds down, as the original does. */
export function mibFromBytes(size: Bytes): MiB {
  return (size / BYTES_PER_MIB) as MiB;
}
