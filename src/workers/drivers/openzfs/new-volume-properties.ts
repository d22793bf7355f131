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
