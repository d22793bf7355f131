import { StreamFailure } from "./stream-failure.js";

/**
 * The records of a replication stream, as bytes. Layout: dmu_replay_record_t in
 * OpenZFS's sys/zfs_ioctl.h, checked against streams of OpenZFS 2.3.2.
 */
export const RECORD_BYTES = 312;
/** Where every record but BEGIN states the checksum of all bytes of the stream before that place. */
export const CHECKSUM_AT = 280;
/** ZFS's largest block, so the largest payload. */
export const MAX_PAYLOAD_BYTES = 16 * 2 ** 20;
/** Places in a volume are exact numbers up to here. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
/** Larger blocks need the feature large_blocks. */
export const MAX_SMALL_BLOCK_BYTES = 128 * 1024;

export const MAGIC = 0x2f5bacbacn;

/** Numbers of record types (dmu_replay_record_t.drr_type). */
export const RECORD = {
  BEGIN: 0,
  OBJECT: 1,
  FREEOBJECTS: 2,
  WRITE: 3,
  FREE: 4,
  END: 5,
  WRITE_BYREF: 6,
  SPILL: 7,
  WRITE_EMBEDDED: 8,
  OBJECT_RANGE: 9,
  REDACT: 10,
} as const;

export type RecordName = keyof typeof RECORD;

const NAMES: ReadonlyMap<number, RecordName> = new Map(
  Object.entries(RECORD).map(([name, type]) => [type, name as RecordName]),
);

/** Features of a stream by their bit in drr_versioninfo's feature flags, under the names zfs uses. */
export const FEATURE_BITS = {
  dedup: 0,
  dedupprops: 1,
  sa_spill: 2,
  embed_data: 16,
  lz4: 17,
  large_blocks: 19,
  resuming: 20,
  redacted: 21,
  compressed: 22,
  large_dnode: 23,
  raw: 24,
  zstd: 25,
  holds: 26,
  switch_to_large_blocks: 27,
  longname: 28,
  large_microzap: 29,
} as const;

export type Feature = keyof typeof FEATURE_BITS;

/** Places in the records that both the reader and the writer need. The record's kind is the prefix. */
export const PLACE = {
  type: 0,
  payloadBytes: 4,
  beginMagic: 8,
  beginVersion: 16,
  beginCreationTime: 24,
  beginObjsetType: 32,
  beginFlags: 36,
  beginToGuid: 40,
  beginFromGuid: 48,
  beginToName: 56,
  object: 8,
  objectType: 16,
  objectBlockBytes: 24,
  objectBonusBytes: 28,
  objectDnodeSlots: 34,
  objectRawBonusBytes: 36,
  objectToGuid: 40,
  freeobjectsFirst: 8,
  freeobjectsCount: 16,
  freeobjectsToGuid: 24,
  writeType: 16,
  writeOffset: 24,
  writeLogicalBytes: 32,
  writeToGuid: 40,
  writeChecksumType: 48,
  writeCompression: 50,
  writeCompressedBytes: 96,
  freeOffset: 16,
  freeLength: 24,
  freeToGuid: 32,
  embeddedOffset: 16,
  embeddedLength: 24,
  embeddedCompression: 40,
  embeddedType: 41,
  embeddedLogicalBytes: 48,
  embeddedPhysicalBytes: 52,
  spillLength: 16,
  spillCompressedBytes: 40,
  endChecksum: 8,
  endToGuid: 40,
} as const;

export const TO_NAME_BYTES = RECORD_BYTES - PLACE.beginToName;

/** dmu_objset_type_t */
export const OBJSET_FILESYSTEM = 2;
export const OBJSET_VOLUME = 3;
/** drr_versioninfo's two lowest bits. */
export const HEADER_SUBSTREAM = 1;
export const HEADER_COMPOUND = 2;
/** drr_begin.drr_flags */
export const FLAG_CLONE = 1;
export const FLAG_FREERECORDS = 4;
export const FLAG_SPILL_BLOCK = 8;

/** What a volume's object set holds. */
export const DATA_OBJECT = 1;
export const PROPERTIES_OBJECT = 2;
/** dmu_object_type_t */
export const TYPE_VOLUME_DATA = 23;
export const TYPE_VOLUME_PROPERTIES = 24;

/** How a payload is stored. `name` is zfs's for it (zio_compress). */
export type Compression = "none" | "lz4" | "gzip";

/** A record other than BEGIN, its fields checked as far as they can be alone. Sizes and places are bytes. */
export type StreamRecord = { readonly payloadBytes: number } & (
  | { readonly name: "OBJECT"; readonly object: number; readonly type: number; readonly blockBytes: number }
  | { readonly name: "FREEOBJECTS"; readonly first: number; readonly end: number }
  | {
      readonly name: "WRITE" | "WRITE_EMBEDDED";
      readonly object: number;
      readonly offset: number;
      readonly logicalBytes: number;
      /** Of the payload, without padding. */
      readonly storedBytes: number;
      readonly compression: Compression;
    }
  | { readonly name: "FREE"; readonly object: number; readonly offset: number; readonly length: number }
  | { readonly name: "SPILL"; readonly object: number }
  | { readonly name: "END" }
);

/** An unsigned 64-bit number as a double: exact up to MAX_OFFSET, larger ones may be rounded but stay above it. */
function uint64(view: DataView, at: number, littleEndian: boolean): number {
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  const high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
  return high * 2 ** 32 + low;
}

/** zio_compress: what the numbers stand for. */
const COMPRESSIONS: Readonly<Record<number, string>> = { 3: "lzjb", 4: "empty", 14: "zle", 16: "zstd" };

function compressionOf(code: number, name: RecordName, offset: number): Compression {
  if (code === 0) return "none";
  if (code === 15) return "lz4";
  if (code >= 5 && code <= 13) return "gzip";
  const known = COMPRESSIONS[code];
  if (known === undefined)
    throw new StreamFailure("corrupt", offset, `a ${name} record of compression ${code}`);
  throw new StreamFailure(
    "unsupported",
    offset,
    `its data is compressed with ${known}; send it without -c, or with compression lz4 or gzip`,
  );
}

/** Reads a record's type. Throws StreamFailure, `offset` being the record's place in the stream. */
export function readRecordName(header: DataView, littleEndian: boolean, offset: number): RecordName {
  const type = header.getUint32(PLACE.type, littleEndian);
  const name = NAMES.get(type);
  if (name === undefined) throw new StreamFailure("corrupt", offset, `a record of the unknown type ${type}`);
  return name;
}

/**
 * Reads the record in the 312 bytes of `header`, which is at `offset` of its stream.
 * Throws StreamFailure when it contradicts itself or has no place in a volume's stream.
 */
export function readRecord(header: DataView, littleEndian: boolean, offset: number): StreamRecord {
  const name = readRecordName(header, littleEndian, offset);
  const u32 = (at: number) => header.getUint32(at, littleEndian);
  const u64 = (at: number) => uint64(header, at, littleEndian);
  const corrupt = (reason: string) => new StreamFailure("corrupt", offset, `a ${name} record ${reason}`);
  const unsupported = (reason: string) => new StreamFailure("unsupported", offset, reason);

  /** A payload's size. Fletcher-4 takes whole words, and ZFS pads to 8 bytes at least. */
  const size = (bytes: number) => {
    if (bytes > MAX_PAYLOAD_BYTES) {
      throw corrupt(`of ${bytes} bytes, more than the ${MAX_PAYLOAD_BYTES} that a block may have`);
    }
    if (bytes % 4 !== 0) throw corrupt(`of ${bytes} bytes, which are no whole words`);
    return bytes;
  };
  /** The size of a block before it is compressed. */
  const blockSize = (bytes: number) => {
    if (bytes === 0 || bytes % 512 !== 0) throw corrupt(`of ${bytes} bytes, which are no whole sectors`);
    return size(bytes);
  };

  switch (name) {
    case "OBJECT": {
      if (u32(PLACE.objectRawBonusBytes) !== 0) throw corrupt("as of a raw stream, in one that is not");
      const bonusBytes = u32(PLACE.objectBonusBytes);
      return {
        name,
        object: u64(PLACE.object),
        type: u32(PLACE.objectType),
        blockBytes: blockSize(u32(PLACE.objectBlockBytes)),
        payloadBytes: size(Math.ceil(bonusBytes / 8) * 8),
      };
    }
    case "FREEOBJECTS": {
      const first = u64(PLACE.freeobjectsFirst);
      return { name, first, end: first + u64(PLACE.freeobjectsCount), payloadBytes: 0 };
    }
    case "WRITE": {
      const compression = compressionOf(header.getUint8(PLACE.writeCompression), name, offset);
      const logicalBytes = blockSize(u64(PLACE.writeLogicalBytes));
      const payloadBytes = compression === "none" ? logicalBytes : size(u64(PLACE.writeCompressedBytes));
      return {
        name,
        object: u64(PLACE.object),
        offset: u64(PLACE.writeOffset),
        logicalBytes,
        storedBytes: payloadBytes,
        compression,
        payloadBytes,
      };
    }
    case "WRITE_EMBEDDED": {
      const type = header.getUint8(PLACE.embeddedType);
      if (type !== 0) throw unsupported(`embedded data of type ${type}`);
      const code = header.getUint8(PLACE.embeddedCompression);
      const storedBytes = u32(PLACE.embeddedPhysicalBytes);
      // 2: off. Unlike in WRITE the number is the block pointer's.
      const compression = code === 2 ? "none" : compressionOf(code, name, offset);
      const logicalBytes = blockSize(u32(PLACE.embeddedLogicalBytes));
      if (compression === "none" && storedBytes !== logicalBytes) throw corrupt("of two different sizes");
      if (u64(PLACE.embeddedLength) !== logicalBytes) throw corrupt("that isn't as long as its block");
      return {
        name,
        object: u64(PLACE.object),
        offset: u64(PLACE.embeddedOffset),
        logicalBytes,
        storedBytes,
        compression,
        payloadBytes: size(Math.ceil(storedBytes / 8) * 8),
      };
    }
    case "FREE":
      return {
        name,
        object: u64(PLACE.object),
        offset: u64(PLACE.freeOffset),
        length: u64(PLACE.freeLength),
        payloadBytes: 0,
      };
    case "SPILL": {
      const stored = u64(PLACE.spillCompressedBytes);
      const payloadBytes = size(stored === 0 ? u64(PLACE.spillLength) : stored);
      return { name, object: u64(PLACE.object), payloadBytes };
    }
    case "END":
      return { name, payloadBytes: 0 };
    case "BEGIN":
      throw corrupt("inside of a stream");
    case "WRITE_BYREF":
      throw unsupported("it is deduplicated (zfs send -D); send it without");
    case "OBJECT_RANGE":
      throw corrupt("as of a raw stream, in one that is not");
    case "REDACT":
      throw corrupt("as of a redacted stream, in one that is not");
  }
}
