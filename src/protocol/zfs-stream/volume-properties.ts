/**
 * The size of the properties object of a volume: a ZAP of one block, with the one entry "size".
 * Such a "microzap" has a head of 64 bytes and then entries of 64 bytes each.
 * Source: mzap_phys_t and mzap_ent_phys_t in OpenZFS's sys/zap_impl.h.
 */
export const PROPERTIES_BYTES = 512;

/** ZBT_MICRO, with which every microzap begins. */
const MICROZAP = 2n ** 63n + 3n;
const ENTRY_BYTES = 64;
const SALT_AT = 8;
const NAME_AT = 14;
const SIZE_NAME = "size";

function nameOf(block: Uint8Array, entry: number): string {
  const name = block.subarray(entry + NAME_AT, entry + ENTRY_BYTES);
  const end = name.indexOf(0);
  return new TextDecoder("latin1").decode(name.subarray(0, end < 0 ? name.length : end));
}

/** @returns the size of the volume in bytes; undefined when the block is no microzap or has no size. */
export function readVolumeSize(block: Uint8Array): bigint | undefined {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (block.length < PROPERTIES_BYTES) return undefined;
  const littleEndian = view.getBigUint64(0, true) === MICROZAP;
  if (!littleEndian && view.getBigUint64(0, false) !== MICROZAP) return undefined;
  for (let entry = ENTRY_BYTES; entry + ENTRY_BYTES <= block.length; entry += ENTRY_BYTES) {
    if (nameOf(block, entry) === SIZE_NAME) return view.getBigUint64(entry, littleEndian);
  }
  return undefined;
}

/** The properties object of a volume of this size, little-endian. */
export function writeVolumeSize(volsize: bigint): Uint8Array {
  const block = new Uint8Array(PROPERTIES_BYTES);
  const view = new DataView(block.buffer);
  view.setBigUint64(0, MICROZAP, true);
  // The salt of the names' hash. ZFS accepts any number, but makes only odd ones itself.
  view.setBigUint64(SALT_AT, 1n, true);
  view.setBigUint64(ENTRY_BYTES, volsize, true);
  block.set(new TextEncoder().encode(SIZE_NAME), ENTRY_BYTES + NAME_AT);
  return block;
}
