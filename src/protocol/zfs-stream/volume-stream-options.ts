import { MAX_OFFSET, MAX_PAYLOAD_BYTES, TO_NAME_BYTES } from "./stream-records.js";

export interface VolumeStreamOptions {
  /** "pool/volume@snapshot", at most 255 bytes of UTF-8. */
  readonly toName: string;
  readonly toGuid: bigint;
  /** The guid of the snapshot that the stream builds on; 0n for a full stream. */
  readonly fromGuid: bigint;
  /** Seconds since the epoch. */
  readonly creationTime: bigint;
  /** Bytes. */
  readonly volsize: bigint;
  /** Bytes: a power of two from 512 to 16 MiB. Above 128 KiB the stream has the feature large_blocks. */
  readonly volblocksize: number;
  /**
   * Bytes: the begin of a block. The stream is the rest of one that broke, and begins there as `zfs send -t` does:
   * nothing may be written before it. Undefined: the stream is whole.
   */
  readonly resumeAt?: number | undefined;
}

const MIN_BLOCK_BYTES = 512;

/** `bytes` in whole blocks. */
export function roundedUp(bytes: number, blockBytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}

/** Throws RangeError. */
export function checkStreamOptions(options: VolumeStreamOptions): void {
  const { toName, volsize, volblocksize, resumeAt = 0 } = options;
  if (new TextEncoder().encode(toName).length >= TO_NAME_BYTES || toName.includes("\0")) {
    throw new RangeError(`no name for a stream: ${toName}`);
  }
  if (!Number.isInteger(Math.log2(volblocksize)) || volblocksize < MIN_BLOCK_BYTES) {
    throw new RangeError(`volblocksize is no power of two: ${volblocksize}`);
  }
  if (volblocksize > MAX_PAYLOAD_BYTES) throw new RangeError(`volblocksize is above 16 MiB: ${volblocksize}`);
  if (resumeAt % volblocksize !== 0 || resumeAt < 0 || resumeAt > roundedUp(Number(volsize), volblocksize)) {
    throw new RangeError(`no place to go on at: ${resumeAt}`);
  }
  if (volsize <= 0n || volsize > BigInt(MAX_OFFSET)) throw new RangeError(`volsize out of range: ${volsize}`);
}
