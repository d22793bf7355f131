import { createFletcher4 } from "./fletcher4.js";
import { writeResumeList } from "./resume-list.js";
import {
  CHECKSUM_AT,
  DATA_OBJECT,
  FEATURE_BITS,
  FLAG_FREERECORDS,
  FLAG_SPILL_BLOCK,
  HEADER_SUBSTREAM,
  MAGIC,
  MAX_SMALL_BLOCK_BYTES,
  OBJSET_VOLUME,
  PLACE,
  PROPERTIES_OBJECT,
  RECORD,
  RECORD_BYTES,
  type RecordName,
  TYPE_VOLUME_DATA,
  TYPE_VOLUME_PROPERTIES,
} from "./stream-records.js";
import { PROPERTIES_BYTES, writeVolumeSize } from "./volume-properties.js";
import { checkStreamOptions, roundedUp, type VolumeStreamOptions } from "./volume-stream-options.js";

export type { VolumeStreamOptions } from "./volume-stream-options.js";

/**
 * Writes a stream piece by piece. What is given back is the begin of `to`, if that is given and whatever
 * it held, else a new buffer, and belongs to the caller. A misuse throws RangeError.
 */
export interface VolumeWriter {
  /** BEGIN and the other records before the data. */
  begin(): Uint8Array;
  /**
   * One WRITE record per block. `offset`: a multiple of volblocksize and not before the end of
   * the last write, which `zfs receive` requires. `data`: whole blocks; only the block in
   * which the volume ends may be shorter, and is filled up with zeros.
   */
  write(offset: number, data: Uint8Array, to?: Uint8Array): Uint8Array;
  /** The length of the records for so many bytes of data. */
  writeBytes(dataBytes: number): number;
  /**
   * A FREE record: the range reads as zeros unless something is written there later. It may not
   * begin before the end of the last write, since `zfs receive` would keep what was written.
   */
  free(offset: number, length: number, to?: Uint8Array): Uint8Array;
  /** The length of a FREE record. */
  readonly freeBytes: number;
  /** The records behind the data, END among them. */
  end(): Uint8Array;
}

/** The length of a FREE record that reaches to the end of the object. */
const TO_THE_END = 2n ** 64n - 1n;
/** How many objects share a block of descriptions. A stream frees those of the first block that a volume lacks. */
const OBJECTS_PER_BLOCK = 32n;
/** zio_checksum: off. Any other number says that the record has a key for deduplication. */
const CHECKSUM_OFF = 2;
/**
 * Writes the stream of one snapshot of a volume, full or incremental, as `zfs send` does
 * without options on a little-endian machine; only blocks above 128 KiB are left whole.
 */
export function createVolumeWriter(options: VolumeStreamOptions): VolumeWriter {
  checkStreamOptions(options);
  const { toGuid, volblocksize } = options;
  const fletcher = createFletcher4(true);
  const volumeEnd = Number(options.volsize);
  /** The end of the volume's last block. */
  const blocksEnd = roundedUp(volumeEnd, volblocksize);
  /** Behind the first record of a stream that is the rest of another one. */
  const list =
    options.resumeAt === undefined
      ? new Uint8Array(0)
      : writeResumeList({ object: DATA_OBJECT, offset: options.resumeAt });
  /** "data" from `begin` to `end`: only then records may be written. */
  let phase: "new" | "data" | "ended" = "new";
  /** The end of the last write. */
  let writtenEnd = options.resumeAt ?? 0;

  function enter(from: typeof phase, to: typeof phase): void {
    if (phase !== from) throw new RangeError(`a stream that is ${phase} can't become ${to}`);
    phase = to;
  }

  /**
   * Puts a record at `at` of `to` and adds it to the checksum. `fill` writes its fields, at the
   * offsets of PLACE in its view. The record's payload must be in `to` already.
   * @returns the end of the record.
   */
  function put(
    to: Uint8Array,
    at: number,
    name: RecordName,
    payloadBytes: number,
    fill: (view: DataView) => void,
  ): number {
    const view = new DataView(to.buffer, to.byteOffset + at, RECORD_BYTES + payloadBytes);
    to.fill(0, at, at + RECORD_BYTES);
    view.setUint32(PLACE.type, RECORD[name], true);
    fill(view);
    // The last bytes of BEGIN are part of the name.
    if (name === "BEGIN") fletcher.add(view, 0, RECORD_BYTES + payloadBytes);
    else sum(view, 0, payloadBytes);
    return at + RECORD_BYTES + payloadBytes;
  }

  /** Adds the record at `at` of the view to the checksum, and puts that into it. */
  function sum(view: DataView, at: number, payloadBytes: number): void {
    fletcher.add(view, at, at + CHECKSUM_AT);
    fletcher.write(view, at + CHECKSUM_AT);
    fletcher.add(view, at + CHECKSUM_AT, at + RECORD_BYTES + payloadBytes);
  }

  function featureFlags(): bigint {
    const large = volblocksize > MAX_SMALL_BLOCK_BYTES ? 1n << BigInt(FEATURE_BITS.large_blocks) : 0n;
    const resuming = options.resumeAt === undefined ? 0n : 1n << BigInt(FEATURE_BITS.resuming);
    return large | resuming;
  }

  function putBegin(to: Uint8Array, at: number): number {
    to.set(list, at + RECORD_BYTES);
    return put(to, at, "BEGIN", list.length, (view) => {
      view.setUint32(PLACE.payloadBytes, list.length, true);
      view.setBigUint64(PLACE.beginMagic, MAGIC, true);
      view.setBigUint64(PLACE.beginVersion, (featureFlags() << 2n) | BigInt(HEADER_SUBSTREAM), true);
      view.setBigUint64(PLACE.beginCreationTime, options.creationTime, true);
      view.setUint32(PLACE.beginObjsetType, OBJSET_VOLUME, true);
      view.setUint32(PLACE.beginFlags, FLAG_FREERECORDS | FLAG_SPILL_BLOCK, true);
      view.setBigUint64(PLACE.beginToGuid, toGuid, true);
      view.setBigUint64(PLACE.beginFromGuid, options.fromGuid, true);
      to.set(new TextEncoder().encode(options.toName), at + PLACE.beginToName);
    });
  }

  function putObject(to: Uint8Array, at: number, object: number, type: number, blockBytes: number): number {
    return put(to, at, "OBJECT", 0, (view) => {
      view.setBigUint64(PLACE.object, BigInt(object), true);
      view.setUint32(PLACE.objectType, type, true);
      view.setUint32(PLACE.objectBlockBytes, blockBytes, true);
      view.setUint8(PLACE.objectDnodeSlots, 1);
      view.setBigUint64(PLACE.objectToGuid, toGuid, true);
    });
  }

  function putFree(to: Uint8Array, at: number, object: number, offset: number, length: bigint): number {
    return put(to, at, "FREE", 0, (view) => {
      view.setBigUint64(PLACE.object, BigInt(object), true);
      view.setBigUint64(PLACE.freeOffset, BigInt(offset), true);
      view.setBigUint64(PLACE.freeLength, length, true);
      view.setBigUint64(PLACE.freeToGuid, toGuid, true);
    });
  }

  /** A WRITE record of a block, without its offset, its payload and its checksum. */
  function writeHeader(object: number, type: number, blockBytes: number): Uint8Array {
    const header = new Uint8Array(RECORD_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(PLACE.type, RECORD.WRITE, true);
    view.setBigUint64(PLACE.object, BigInt(object), true);
    view.setUint32(PLACE.writeType, type, true);
    view.setBigUint64(PLACE.writeLogicalBytes, BigInt(blockBytes), true);
    view.setBigUint64(PLACE.writeToGuid, toGuid, true);
    view.setUint8(PLACE.writeChecksumType, CHECKSUM_OFF);
    return header;
  }

  /**
   * Puts the records of blocks into `to`, each with a copy of `header`. The last block of `data` may be
   * shorter: zeros follow. It makes few objects, since it is most of the work of a stream.
   * @returns the end of the records.
   */
  function putWrites(
    to: Uint8Array,
    start: number,
    header: Uint8Array,
    offset: number,
    blockBytes: number,
    data: Uint8Array,
  ): number {
    const view = new DataView(to.buffer, to.byteOffset, to.length);
    let at = start;
    for (let from = 0; from < data.length; from += blockBytes) {
      const part = data.subarray(from, from + blockBytes);
      const end = at + RECORD_BYTES + blockBytes;
      to.set(header, at);
      view.setUint32(at + PLACE.writeOffset, (offset + from) % 2 ** 32, true);
      view.setUint32(at + PLACE.writeOffset + 4, Math.floor((offset + from) / 2 ** 32), true);
      to.set(part, at + RECORD_BYTES);
      if (part.length < blockBytes) to.fill(0, at + RECORD_BYTES + part.length, end);
      sum(view, at, blockBytes);
      at = end;
    }
    return at;
  }

  const dataHeader = writeHeader(DATA_OBJECT, TYPE_VOLUME_DATA, volblocksize);

  function putFreeObjects(to: Uint8Array, at: number): number {
    return put(to, at, "FREEOBJECTS", 0, (view) => {
      const first = BigInt(PROPERTIES_OBJECT + 1);
      view.setBigUint64(PLACE.freeobjectsFirst, first, true);
      view.setBigUint64(PLACE.freeobjectsCount, OBJECTS_PER_BLOCK - first, true);
      view.setBigUint64(PLACE.freeobjectsToGuid, toGuid, true);
    });
  }

  function putEnd(to: Uint8Array, at: number): number {
    return put(to, at, "END", 0, (view) => {
      fletcher.write(view, PLACE.endChecksum);
      view.setBigUint64(PLACE.endToGuid, toGuid, true);
    });
  }

  const writeBytes = (dataBytes: number) =>
    Math.ceil(dataBytes / volblocksize) * (RECORD_BYTES + volblocksize);

  function requireInside(offset: number, length: number): void {
    const isInside =
      Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= volumeEnd;
    if (!isInside) throw new RangeError(`${length} bytes at ${offset} in a volume of ${volumeEnd}`);
  }

  return {
    begin() {
      enter("new", "data");
      const to = new Uint8Array(3 * RECORD_BYTES + list.length);
      let at = putBegin(to, 0);
      at = putObject(to, at, DATA_OBJECT, TYPE_VOLUME_DATA, volblocksize);
      // Frees what the volume had behind its end if it was larger before.
      putFree(to, at, DATA_OBJECT, blocksEnd, TO_THE_END);
      return to;
    },

    writeBytes,
    freeBytes: RECORD_BYTES,

    write(offset, data, to = new Uint8Array(writeBytes(data.length))) {
      enter("data", "data");
      requireInside(offset, data.length);
      if (offset % volblocksize !== 0 || offset < writtenEnd) {
        throw new RangeError(`a write at ${offset}: no block's place, or before the last write's end`);
      }
      const end = offset + data.length;
      if (end % volblocksize !== 0 && end !== volumeEnd) {
        throw new RangeError(
          `a write of ${data.length} bytes at ${offset}, no whole blocks of ${volblocksize}`,
        );
      }
      writtenEnd = end;
      return to.subarray(0, putWrites(to, 0, dataHeader, offset, volblocksize, data));
    },

    free(offset, length, to = new Uint8Array(RECORD_BYTES)) {
      enter("data", "data");
      requireInside(offset, length);
      if (length === 0) return new Uint8Array(0);
      if (offset < writtenEnd) throw new RangeError(`a hole at ${offset}, before the last write's end`);
      return to.subarray(0, putFree(to, 0, DATA_OBJECT, offset, BigInt(length)));
    },

    end() {
      enter("data", "ended");
      const to = new Uint8Array(5 * RECORD_BYTES + PROPERTIES_BYTES);
      const properties = writeVolumeSize(options.volsize);
      let at = putObject(to, 0, PROPERTIES_OBJECT, TYPE_VOLUME_PROPERTIES, PROPERTIES_BYTES);
      at = putFree(to, at, PROPERTIES_OBJECT, PROPERTIES_BYTES, TO_THE_END);
      const header = writeHeader(PROPERTIES_OBJECT, TYPE_VOLUME_PROPERTIES, PROPERTIES_BYTES);
      at = putWrites(to, at, header, 0, PROPERTIES_BYTES, properties);
      at = putFreeObjects(to, at);
      putEnd(to, at);
      return to;
    },
  };
}
