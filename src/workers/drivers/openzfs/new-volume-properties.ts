import { type Bytes, bytes } from "../../../protocol/storage/units.js";
import type { Properties } from "../driver.js";

/** The properties of `volumeProperties` that each way to make a volume takes. */
export interface VolumeProperties {
  readonly ofNew: Properties;
  readonly ofClones: Properties;
  readonly ofReceived: Properties;
  /** The block size of new volumes, if it is configured. */
  readonly blockBytes: bigint | undefined;
}

/** Only for new volumes: a clone and a received volume have that of their origin or stream. */
const BLOCK_SIZE = "volblocksize";
/** A clone shares the blocks of its origin, so it shares their encryption. Source: zfs-clone(8). */
const ENCRYPTION: readonly string[] = ["encryption", "keyformat", "keylocation", "pbkdf2iters"];

function without(properties: Properties, names: readonly string[]): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !names.includes(name)));
}

export function volumePropertiesOf(properties: Properties): VolumeProperties {
  return {
    ofNew: properties,
    ofClones: without(properties, [BLOCK_SIZE, ...ENCRYPTION]),
    ofReceived: without(properties, [BLOCK_SIZE]),
    blockBytes: parseBytes(properties[BLOCK_SIZE] ?? ""),
  };
}

/** What zfs reads as a number of bytes: `131072`, `128K`, `128k`, `128KB`, `1M`. */
function parseBytes(text: string): bigint | undefined {
  const [, digits, unit = ""] = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const shift = { "": 0n, K: 10n, M: 20n, G: 30n }[unit.toUpperCase()] ?? 0n;
  const size = BigInt(digits) << shift;
  return size > 0n ? size : undefined;
}

/** As `zfs create -V` does where the block is configured. Other blocks divide 1 MiB, and so all sizes. */
export function wholeBlocks(size: Bytes, blockBytes: bigint | undefined): Bytes {
  if (blockBytes === undefined) return size;
  return bytes(((size + blockBytes - 1n) / blockBytes) * blockBytes);
}

/** The numbers of the kernel for words of these properties. Source: include/sys/fs/zfs.h, unchanged from 2.1 to 2.4. */
const WORDS: Readonly<Record<string, Readonly<Record<string, bigint>>>> = {
  compression: { on: 1n, off: 2n, zle: 14n, lz4: 15n },
  refreservation: { none: 0n },
  sync: { standard: 0n, always: 1n, disabled: 2n },
  logbias: { latency: 0n, throughput: 1n },
  volmode: { default: 0n, full: 1n, dev: 2n, none: 3n },
};

/**
 * Properties as libzfs_core takes them.
 * @returns undefined if one has a value that only zfs(8) can read.
 */
export function nativeProperties(
  properties: Properties,
): Readonly<Record<string, bigint | string>> | undefined {
  const native: Record<string, bigint | string> = {};
  for (const [name, value] of Object.entries(properties)) {
    // A user property, whose value is text.
    const read = name.includes(":") ? value : name === BLOCK_SIZE ? parseBytes(value) : WORDS[name]?.[value];
    if (read === undefined) return undefined;
    native[name] = read;
  }
  return native;
}

/** Entries of an indirect block, a power of two. */
const ENTRIES = 1024n;
/** The size of an indirect block, and its copies, as they count here. */
const INDIRECT_BYTES = 131_072n;
const COPIES = 2n;

/**
 * The refreservation that `zfs create -V` sets, so that a volume can be written whole, on a pool without
 * raidz. Source: zvol_volsize_to_reservation of libzfs, the same from 2.1 to 2.4.
 */
export function thickReservation(size: bigint, blockBytes: bigint): bigint {
  let blocks = size / blockBytes;
  // The levels of the metadnode.
  let indirect = 7n;
  while (blocks > 1n) {
    blocks = (blocks + ENTRIES - 1n) / ENTRIES;
    indirect += blocks;
  }
  return size + indirect * COPIES * INDIRECT_BYTES;
}
