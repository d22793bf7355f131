import { StreamFailure } from "./stream-failure.js";

/*
 * The list behind the first record of a stream that goes on where an earlier one broke: an nvlist in ZFS's
 * native encoding. Source: nvlist_pack and nvs_native_ops in OpenZFS's module/nvpair/nvpair.c.
 */

/** Where a stream goes on: records of objects before `object`, and of places before `offset` in it, are not in it. */
export interface ResumePlace {
  readonly object: number;
  /** Bytes. */
  readonly offset: number;
}

const ENCODING_NATIVE = 0;
/** nvh_encoding, nvh_endian, and two reserved bytes. */
const HEADER_BYTES = 4;
/** nvl_version and nvl_nvflag. */
const LIST_BYTES = 8;
const UNIQUE_NAMES = 1;
/** nvpair_t: its own size, that of the name with its NUL, a reserved field, how many values, and their type. */
const PAIR_BYTES = 16;
const TYPE_UINT64 = 8;
/** The size of the pair that ends a list. */
const END_BYTES = 4;

const aligned = (bytes: number) => Math.ceil(bytes / 8) * 8;
const pairBytes = (name: string) => aligned(PAIR_BYTES + name.length + 1) + 8;

const OBJECT = "resume_object";
const OFFSET = "resume_offset";

/** The list that says `place`, little-endian; its length is a multiple of 8. */
export function writeResumeList({ object, offset }: ResumePlace): Uint8Array {
  const pairs = [
    [OBJECT, object],
    [OFFSET, offset],
  ] as const;
  const size = pairs.reduce((sum, [name]) => sum + pairBytes(name), HEADER_BYTES + LIST_BYTES + END_BYTES);
  const list = new Uint8Array(size);
  const view = new DataView(list.buffer);
  view.setUint8(0, ENCODING_NATIVE);
  view.setUint8(1, 1);
  view.setUint32(HEADER_BYTES + 4, UNIQUE_NAMES, true);
  let at = HEADER_BYTES + LIST_BYTES;
  for (const [name, value] of pairs) {
    const bytes = pairBytes(name);
    view.setUint32(at, bytes, true);
    view.setUint16(at + 4, name.length + 1, true);
    view.setUint32(at + 8, 1, true);
    view.setUint32(at + 12, TYPE_UINT64, true);
    list.set(new TextEncoder().encode(name), at + PAIR_BYTES);
    view.setBigUint64(at + bytes - 8, BigInt(value), true);
    at += bytes;
  }
  return list;
}

/** The numbers in a list by their names; pairs of other types are passed over. Undefined: it is not as ZFS writes one. */
function numbersIn(list: DataView): ReadonlyMap<string, bigint> | undefined {
  const numbers = new Map<string, bigint>();
  if (list.byteLength < HEADER_BYTES + LIST_BYTES + END_BYTES) return undefined;
  if (list.getUint8(0) !== ENCODING_NATIVE) return undefined;
  const littleEndian = list.getUint8(1) === 1;
  let at = HEADER_BYTES + LIST_BYTES;
  while (at + END_BYTES <= list.byteLength) {
    const bytes = list.getUint32(at, littleEndian);
    if (bytes === 0) return numbers;
    if (bytes < PAIR_BYTES || at + bytes > list.byteLength) return undefined;
    const nameBytes = list.getUint16(at + 4, littleEndian);
    if (list.getUint32(at + 12, littleEndian) === TYPE_UINT64) {
      if (aligned(PAIR_BYTES + nameBytes) + 8 !== bytes) return undefined;
      const name = new Uint8Array(list.buffer, list.byteOffset + at + PAIR_BYTES, Math.max(0, nameBytes - 1));
      numbers.set(new TextDecoder().decode(name), list.getBigUint64(at + bytes - 8, littleEndian));
    }
    at += bytes;
  }
  return undefined;
}

/** Throws StreamFailure unless the list says where its stream goes on, at a place that a volume can have. */
export function readResumeList(list: Uint8Array): ResumePlace {
  const numbers = numbersIn(new DataView(list.buffer, list.byteOffset, list.length));
  const [object, offset] = [numbers?.get(OBJECT), numbers?.get(OFFSET)].map(Number);
  if (!Number.isSafeInteger(object) || !Number.isSafeInteger(offset)) {
    throw new StreamFailure("corrupt", 0, "its list does not say where it goes on");
  }
  return { object: object ?? 0, offset: offset ?? 0 };
}
