/**
 * The layout of the records in a replication stream. Every record begins with a header of
 * this length. Source: dmu_replay_record_t in OpenZFS's sys/zfs_ioctl.h, checked against
 * streams of OpenZFS 2.3.2.
 */
export const RECORD_BYTES = 312;
/** Where the header of every record but BEGIN states the checksum of all bytes of the stream before that field. */
export const CHECKSUM_AT = 280;
/** The largest block of ZFS, and so the largest payload. */
export const MAX_PAYLOAD_BYTES = 16 * 2 ** 20;
/** Offsets in a volume are exact as doubles up to here. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
/** Larger blocks need the feature large_blocks. */
export const MAX_SMALL_BLOCK_BYTES = 128 * 1024;

export const MAGIC = 0x2f5bacbacn;

/** The numbers of the record types (dmu_replay_record_t.drr_type). */
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

/** The bit of each feature in the feature flags of drr_versioninfo, under the names that zfs uses. */
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

/** The offsets of fields in a record. The record's type is the prefix of the name. */
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
/** The two lowest bits of drr_versioninfo. */
export const HEADER_SUBSTREAM = 1;
export const HEADER_COMPOUND = 2;
/** drr_begin.drr_flags */
export const FLAG_CLONE = 1;
export const FLAG_FREERECORDS = 4;
export const FLAG_SPILL_BLOCK = 8;

/** The two objects in the object set of a volume. */
export const DATA_OBJECT = 1;
export const PROPERTIES_OBJECT = 2;
/** dmu_object_type_t */
export const TYPE_VOLUME_DATA = 23;
export const TYPE_VOLUME_PROPERTIES = 24;
