declare const bytesBrand: unique symbol;
declare const mibBrand: unique symbol;

/** A size inside the service. 64-bit sizes of ZFS don't fit a double. */
export type Bytes = bigint & { readonly [bytesBrand]: true };
/** A size on the wire: whole MiB, unsigned 64-bit. */
export type MiB = bigint & { readonly [mibBrand]: true };

export const MAX_UINT64 = 2n ** 64n - 1n;
/** The kernel keeps a volume's size in a signed 64-bit offset. */
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
