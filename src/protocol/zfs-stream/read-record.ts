import { StreamFailure } from "./stream-failure.js";
import { MAX_PAYLOAD_BYTES, PLACE, RECORD, type RecordName } from "./stream-records.js";

/** How a payload is stored, as zio_compress calls it. "gzip": any of its nine levels. */
type Compression = "none" | "lz4" | "gzip";

/**
 * A record other than BEGIN. Its fields are checked as far as one record can be checked alone.
 * `object`: the number of an object in the object set. Sizes and offsets are bytes.
 */
export type StreamRecord = { readonly payloadBytes: number } & (
  | { readonly name: "OBJECT"; readonly object: number; readonly type: number; readonly blockBytes: number }
  /** The objects from `first` up to, but without, `end`. */
  | { readonly name: "FREEOBJECTS"; readonly first: number; readonly end: number }
  | {
      readonly name: "WRITE" | "WRITE_EMBEDDED";
      readonly object: number;
      readonly offset: number;
      /** Of the block, decompressed. */
      readonly logicalBytes: number;
      /** Of the payload, without padding. */
      readonly storedBytes: number;
      readonly compression: Compression;
    }
  | { readonly name: "FREE"; readonly object: number; readonly offset: number; readonly length: number }
  | { readonly name: "SPILL"; readonly object: number }
  | { readonly name: "END" }
);

const RECORD_NAMES: ReadonlyMap<number, RecordName> = new Map(
  Object.entries(RECORD).map(([name, type]) => [type, name as RecordName]),
);

/** Reads a record's type. Throws StreamFailure. `offset`: of the record in the stream. */
export function readRecordName(header: DataView, littleEndian: boolean, offset: number): RecordName {
  const type = header.getUint32(PLACE.type, littleEndian);
  const name = RECORD_NAMES.get(type);
  if (name === undefined) throw new StreamFailure("corrupt", offset, `a record of the unknown type ${type}`);
  return name;
}

/** The header of one record. */
interface RecordHeader {
  readonly view: DataView;
  readonly littleEndian: boolean;
  readonly name: RecordName;
  /** Of the record in the stream. */
  readonly offset: number;
}

function uint32({ view, littleEndian }: RecordHeader, at: number): number {
  return view.getUint32(at, littleEndian);
}

/** An unsigned 64-bit field as a double: exact up to MAX_OFFSET; a larger one may be rounded, but stays above it. */
export function readUint64(view: DataView, at: number, littleEndian: boolean): number {
  const low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  const high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
  return high * 2 ** 32 + low;
}

function uint64({ view, littleEndian }: RecordHeader, at: number): number {
  return readUint64(view, at, littleEndian);
}

function corrupt({ name, offset }: RecordHeader, reason: string): StreamFailure {
  return new StreamFailure("corrupt", offset, `a ${name} record ${reason}`);
}

/** Checks the size of a payload. Fletcher-4 takes whole words; ZFS pads to at least 8 bytes. */
function payloadSize(header: RecordHeader, bytes: number): number {
  if (bytes > MAX_PAYLOAD_BYTES) {
    throw corrupt(header, `of ${bytes} bytes, more than the ${MAX_PAYLOAD_BYTES} that a block may have`);
  }
  if (bytes % 4 !== 0) throw corrupt(header, `of ${bytes} bytes, which are no whole words`);
  return bytes;
}

/** Checks the size that a block has before it is compressed. */
function blockSize(header: RecordHeader, bytes: number): number {
  if (bytes === 0 || bytes % 512 !== 0) {
    throw corrupt(header, `of ${bytes} bytes, which are no whole sectors`);
  }
  return payloadSize(header, bytes);
}

/** The compressions of zio_compress that are not read here, by their number. */
const UNREAD_COMPRESSIONS: Readonly<Record<number, string>> = {
  3: "lzjb",
  4: "empty",
  14: "zle",
  16: "zstd",
};

function compressionOf(header: RecordHeader, code: number): Compression {
  if (code === 0) return "none";
  if (code === 15) return "lz4";
  if (code >= 5 && code <= 13) return "gzip";
  const name = UNREAD_COMPRESSIONS[code];
  if (name === undefined) throw corrupt(header, `of compression ${code}`);
  throw new StreamFailure(
    "unsupported",
    header.offset,
    `its data is compressed with ${name}; send it without -c, or with compression lz4 or gzip`,
  );
}

function readObject(header: RecordHeader): StreamRecord {
  if (uint32(header, PLACE.objectRawBonusBytes) !== 0) {
    throw corrupt(header, "as of a raw stream, in one that is not");
  }
  const bonusBytes = uint32(header, PLACE.objectBonusBytes);
  return {
    name: "OBJECT",
    object: uint64(header, PLACE.object),
    type: uint32(header, PLACE.objectType),
    blockBytes: blockSize(header, uint32(header, PLACE.objectBlockBytes)),
    payloadBytes: payloadSize(header, Math.ceil(bonusBytes / 8) * 8),
  };
}

function readFreeObjects(header: RecordHeader): StreamRecord {
  const first = uint64(header, PLACE.freeobjectsFirst);
  const end = first + uint64(header, PLACE.freeobjectsCount);
  return { name: "FREEOBJECTS", first, end, payloadBytes: 0 };
}

function readWrite(header: RecordHeader): StreamRecord {
  const compression = compressionOf(header, header.view.getUint8(PLACE.writeCompression));
  const logicalBytes = blockSize(header, uint64(header, PLACE.writeLogicalBytes));
  const payloadBytes =
    compression === "none" ? logicalBytes : payloadSize(header, uint64(header, PLACE.writeCompressedBytes));
  return {
    name: "WRITE",
    object: uint64(header, PLACE.object),
    offset: uint64(header, PLACE.writeOffset),
    logicalBytes,
    storedBytes: payloadBytes,
    compression,
    payloadBytes,
  };
}

function readEmbeddedWrite(header: RecordHeader): StreamRecord {
  const type = header.view.getUint8(PLACE.embeddedType);
  if (type !== 0) throw new StreamFailure("unsupported", header.offset, `embedded data of type ${type}`);
  const code = header.view.getUint8(PLACE.embeddedCompression);
  const storedBytes = uint32(header, PLACE.embeddedPhysicalBytes);
  // 2 is "off": this number comes from the block pointer, where a WRITE has 0 for "off".
  const compression = code === 2 ? "none" : compressionOf(header, code);
  const logicalBytes = blockSize(header, uint32(header, PLACE.embeddedLogicalBytes));
  if (compression === "none" && storedBytes !== logicalBytes) throw corrupt(header, "of two different sizes");
  if (uint64(header, PLACE.embeddedLength) !== logicalBytes) {
    throw corrupt(header, "that isn't as long as its block");
  }
  return {
    name: "WRITE_EMBEDDED",
    object: uint64(header, PLACE.object),
    offset: uint64(header, PLACE.embeddedOffset),
    logicalBytes,
    storedBytes,
    compression,
    payloadBytes: payloadSize(header, Math.ceil(storedBytes / 8) * 8),
  };
}

function readFree(header: RecordHeader): StreamRecord {
  return {
    name: "FREE",
    object: uint64(header, PLACE.object),
    offset: uint64(header, PLACE.freeOffset),
    length: uint64(header, PLACE.freeLength),
    payloadBytes: 0,
  };
}

function readSpill(header: RecordHeader): StreamRecord {
  const stored = uint64(header, PLACE.spillCompressedBytes);
  const payloadBytes = payloadSize(header, stored === 0 ? uint64(header, PLACE.spillLength) : stored);
  return { name: "SPILL", object: uint64(header, PLACE.object), payloadBytes };
}

/** How each type of record is read. Those that throw have no place in the stream of a volume. */
const READERS: Readonly<Record<RecordName, (header: RecordHeader) => StreamRecord>> = {
  OBJECT: readObject,
  FREEOBJECTS: readFreeObjects,
  WRITE: readWrite,
  WRITE_EMBEDDED: readEmbeddedWrite,
  FREE: readFree,
  SPILL: readSpill,
  END: () => ({ name: "END", payloadBytes: 0 }),
  BEGIN: (header) => {
    throw corrupt(header, "inside of a stream");
  },
  WRITE_BYREF: ({ offset }) => {
    throw new StreamFailure("unsupported", offset, "it is deduplicated (zfs send -D); send it without");
  },
  OBJECT_RANGE: (header) => {
    throw corrupt(header, "as of a raw stream, in one that is not");
  },
  REDACT: (header) => {
    throw corrupt(header, "as of a redacted stream, in one that is not");
  },
};

/**
 * Reads the record whose header is the 312 bytes of `header`. `offset`: of the record in the stream.
 * Throws StreamFailure when the record contradicts itself or has no place in the stream of a volume.
 */
export function readRecord(header: DataView, littleEndian: boolean, offset: number): StreamRecord {
  const name = readRecordName(header, littleEndian, offset);
  return READERS[name]({ view: header, littleEndian, name, offset });
}
