import { readRecordName } from "./read-record.js";
import { mayBeStream, refusedFeatureOf } from "./stream-begin.js";
import { StreamFailure } from "./stream-failure.js";
import {
  HEADER_COMPOUND,
  MAGIC,
  MAX_PAYLOAD_BYTES,
  OBJSET_FILESYSTEM,
  OBJSET_VOLUME,
  PLACE,
  RECORD_BYTES,
  type RecordName,
} from "./stream-records.js";

/** A list of properties and snapshots in a package is never longer, in bytes. */
const MAX_LIST_BYTES = 64 * 2 ** 20;

/** Watches a stream go by, see createStreamGuard. */
interface StreamGuard {
  /** The next bytes of the stream. Throws StreamFailure: then they must not be passed on. */
  push(chunk: Uint8Array): void;
}

/** An unsigned 64-bit field as a double. */
function uint64(header: DataView, at: number, littleEndian: boolean): number {
  const low = header.getUint32(littleEndian ? at : at + 4, littleEndian);
  const high = header.getUint32(littleEndian ? at + 4 : at, littleEndian);
  return high * 2 ** 32 + low;
}

const padded = (bytes: number) => Math.ceil(bytes / 8) * 8;

type PayloadSize = (header: DataView, littleEndian: boolean) => number;
const nothing: PayloadSize = () => 0;

/**
 * The bytes that follow each record but BEGIN. Source: DRR_OBJECT_PAYLOAD_SIZE and its like in
 * OpenZFS's sys/zfs_ioctl.h.
 */
const PAYLOAD_BYTES: Readonly<Record<Exclude<RecordName, "BEGIN">, PayloadSize>> = {
  OBJECT: (header, littleEndian) => {
    const raw = header.getUint32(PLACE.objectRawBonusBytes, littleEndian);
    return raw || padded(header.getUint32(PLACE.objectBonusBytes, littleEndian));
  },
  FREEOBJECTS: nothing,
  WRITE: (header, littleEndian) => {
    const isCompressed = header.getUint8(PLACE.writeCompression) !== 0;
    return uint64(header, isCompressed ? PLACE.writeCompressedBytes : PLACE.writeLogicalBytes, littleEndian);
  },
  FREE: nothing,
  END: nothing,
  WRITE_BYREF: nothing,
  SPILL: (header, littleEndian) =>
    uint64(header, PLACE.spillCompressedBytes, littleEndian) ||
    uint64(header, PLACE.spillLength, littleEndian),
  WRITE_EMBEDDED: (header, littleEndian) =>
    padded(header.getUint32(PLACE.embeddedPhysicalBytes, littleEndian)),
  OBJECT_RANGE: nothing,
  REDACT: nothing,
};

/** The dataset in the name of a BEGIN record, `POOL/VOLUME@SNAPSHOT`. */
function datasetIn(header: DataView): string {
  const bytes = new Uint8Array(
    header.buffer,
    header.byteOffset + PLACE.beginToName,
    RECORD_BYTES - PLACE.beginToName,
  );
  const end = bytes.indexOf(0);
  const name = Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString("latin1");
  return name.split("@", 1)[0] ?? "";
}

/** Checks each BEGIN of a stream: all must be of one volume, and build on nothing from outside. */
function createBeginCheck(): (header: DataView, littleEndian: boolean, offset: number) => void {
  let dataset: string | undefined;
  const guids = new Set<bigint>();
  return (header, littleEndian, offset) => {
    const refuse = (reason: string) => new StreamFailure("unsupported", offset, reason);
    const version = header.getBigUint64(PLACE.beginVersion, littleEndian);
    const feature = refusedFeatureOf(version);
    if (feature !== undefined) throw refuse(feature);
    // The head of a package has the list of what follows; each snapshot in it has a BEGIN of its own.
    if (Number(version & 3n) === HEADER_COMPOUND) return;
    const objset = header.getUint32(PLACE.beginObjsetType, littleEndian);
    if (objset === OBJSET_FILESYSTEM) throw refuse("it is a filesystem's, not a volume's");
    if (objset !== OBJSET_VOLUME) throw refuse(`it is of an object set of type ${objset}, not a volume's`);
    const name = datasetIn(header);
    if (dataset !== undefined && name !== dataset) throw refuse("it has several volumes, an image is one");
    dataset = name;
    const base = header.getBigUint64(PLACE.beginFromGuid, littleEndian);
    if (base !== 0n && !guids.has(base)) {
      throw refuse("it is incremental (zfs send -i), an image must be whole");
    }
    guids.add(header.getBigUint64(PLACE.beginToGuid, littleEndian));
  };
}

/**
 * Looks at the header of every record of a stream before it is passed on, and at no payload. A
 * stream may be a package with the properties and all snapshots of one volume (zfs send -p, -R).
 * Refused, by StreamFailure, is what must not reach `zfs receive` as an image: a stream that is
 * redacted (OpenZFS 2.3.2 panics on one without its list of redactions), raw, resumed,
 * deduplicated or incremental, of a filesystem or of several volumes, and unknown records.
 * What does not begin as a stream at all passes: the receiver refuses it.
 */
export function createStreamGuard(): StreamGuard {
  const checkBegin = createBeginCheck();
  const gathered = new Uint8Array(RECORD_BYTES);
  const header = new DataView(gathered.buffer);
  /** How many bytes of a header that spans chunks are there. */
  let filled = 0;
  /** Bytes of the payload that are still to come. */
  let skip = 0;
  let littleEndian = true;
  /** Of the next header in the stream. */
  let offset = 0;
  let isForeign = false;

  /** @returns the bytes of the list that follows it. */
  function checkBeginHeader(): number {
    littleEndian = header.getBigUint64(PLACE.beginMagic, true) === MAGIC;
    if (header.getBigUint64(PLACE.beginMagic, littleEndian) !== MAGIC) {
      throw new StreamFailure("corrupt", offset, "a BEGIN record without its magic number");
    }
    checkBegin(header, littleEndian, offset);
    const list = header.getUint32(PLACE.payloadBytes, littleEndian);
    if (list > MAX_LIST_BYTES) throw new StreamFailure("corrupt", offset, `a list of ${list} bytes`);
    return list;
  }

  /** @returns the bytes of its payload. */
  function checkHeader(): number {
    if (offset === 0 && !mayBeStream(gathered)) {
      isForeign = true;
      return 0;
    }
    const name = readRecordName(header, littleEndian, offset);
    if (name === "BEGIN") return checkBeginHeader();
    const bytes = PAYLOAD_BYTES[name](header, littleEndian);
    if (bytes > MAX_PAYLOAD_BYTES) {
      throw new StreamFailure("corrupt", offset, `a ${name} record of ${bytes} bytes`);
    }
    return bytes;
  }

  return {
    push(chunk) {
      let at = 0;
      while (at < chunk.length && !isForeign) {
        const skipped = Math.min(skip, chunk.length - at);
        skip -= skipped;
        offset += skipped;
        at += skipped;
        const part = Math.min(RECORD_BYTES - filled, chunk.length - at);
        if (part === 0) return;
        gathered.set(chunk.subarray(at, at + part), filled);
        filled += part;
        at += part;
        if (filled < RECORD_BYTES) return;
        filled = 0;
        skip = checkHeader();
        offset += RECORD_BYTES;
      }
    },
  };
}
