import type { StreamAllowance } from "../storage/send-terms.js";
import { readRecordName, readUint64 } from "./read-record.js";
import { mayBeStream, refusedFeatureOf } from "./stream-begin.js";
import { StreamFailure } from "./stream-failure.js";
import {
  HEADER_COMPOUND,
  HEADER_SUBSTREAM,
  MAGIC,
  MAX_PAYLOAD_BYTES,
  OBJSET_FILESYSTEM,
  OBJSET_VOLUME,
  PLACE,
  RECORD,
  RECORD_BYTES,
  type RecordName,
} from "./stream-records.js";

/** A list of properties and snapshots in a package is never longer, in bytes. */
const MAX_LIST_BYTES = 64 * 2 ** 20;

/** Watches a stream go by, see createStreamGuard. */
interface StreamGuard {
  /** @returns what is passed on of the stream's next bytes: parts of `chunk`, and headers that spanned chunks. Throws StreamFailure. */
  push(chunk: Uint8Array): Uint8Array[];
  /** @returns what is left at the end of the stream: the beginning of a header. */
  finish(): Uint8Array;
}

const padded = (bytes: number) => Math.ceil(bytes / 8) * 8;

type PayloadSize = (header: DataView, littleEndian: boolean) => number;
const nothing: PayloadSize = () => 0;
/** Of records that only streams have which are refused: theirs is -1 instead of a size. */
const noPlace: PayloadSize = () => -1;

/**
 * The bytes that follow each record but BEGIN. Source: DRR_OBJECT_PAYLOAD_SIZE and its like in
 * OpenZFS's sys/zfs_ioctl.h.
 */
const PAYLOAD_BYTES: Readonly<Record<Exclude<RecordName, "BEGIN">, PayloadSize>> = {
  OBJECT: (header, littleEndian) => {
    if (header.getUint32(PLACE.objectRawBonusBytes, littleEndian) !== 0) return -1;
    return padded(header.getUint32(PLACE.objectBonusBytes, littleEndian));
  },
  FREEOBJECTS: nothing,
  WRITE: (header, littleEndian) => {
    const isCompressed = header.getUint8(PLACE.writeCompression) !== 0;
    return readUint64(
      header,
      isCompressed ? PLACE.writeCompressedBytes : PLACE.writeLogicalBytes,
      littleEndian,
    );
  },
  FREE: nothing,
  END: nothing,
  WRITE_BYREF: noPlace,
  SPILL: (header, littleEndian) =>
    readUint64(header, PLACE.spillCompressedBytes, littleEndian) ||
    readUint64(header, PLACE.spillLength, littleEndian),
  WRITE_EMBEDDED: (header, littleEndian) =>
    padded(header.getUint32(PLACE.embeddedPhysicalBytes, littleEndian)),
  OBJECT_RANGE: noPlace,
  REDACT: noPlace,
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

/** Why a stream that builds on the snapshot with this guid, 0n for none, is refused. */
function baseProblem(base: bigint, origin: StreamAllowance["origin"]): string | undefined {
  if (!origin) {
    if (base === 0n) return undefined;
    return `it is incremental (zfs send -i) and builds on the snapshot with the guid ${base}: the image that has that must be named as its origin`;
  }
  if (base === BigInt(origin.guid)) return undefined;
  if (base === 0n) return `it is whole and builds on no other: it must be asked for without an origin`;
  return `it builds on the snapshot with the guid ${base}, and its origin ${origin.name} has the guid ${origin.guid}: another snapshot, or another image, must be named`;
}

/** Checks each BEGIN of a stream. @returns whether it is the head of a package. Throws StreamFailure. */
function createBeginCheck({
  increments = false,
  resumed = false,
  origin,
}: StreamAllowance): (header: DataView, littleEndian: boolean, offset: number) => boolean {
  let first: string | undefined;
  return (header, littleEndian, offset) => {
    const refuse = (reason: string) => new StreamFailure("unsupported", offset, reason);
    const version = header.getBigUint64(PLACE.beginVersion, littleEndian);
    const feature = refusedFeatureOf(version, resumed);
    if (feature !== undefined) throw refuse(feature);
    const kind = Number(version & 3n);
    if (kind === HEADER_COMPOUND) return true;
    if (kind !== HEADER_SUBSTREAM)
      throw new StreamFailure("corrupt", offset, `a stream header of type ${kind}`);
    // The list of a resumed stream says where it goes on.
    if (!resumed && header.getUint32(PLACE.payloadBytes, littleEndian) !== 0) {
      throw refuse("its header carries a list, as only kinds of streams do that are no image");
    }
    const objset = header.getUint32(PLACE.beginObjsetType, littleEndian);
    if (objset === OBJSET_FILESYSTEM) throw refuse("it is a filesystem's, not a volume's");
    if (objset !== OBJSET_VOLUME) throw refuse(`it is of an object set of type ${objset}, not a volume's`);
    const name = datasetIn(header);
    if (first !== undefined) {
      const what = name === first ? "several snapshots" : "several volumes";
      throw refuse(`it has ${what}; send one snapshot of one volume, without -R and -I`);
    }
    first = name;
    const base = header.getBigUint64(PLACE.beginFromGuid, littleEndian);
    const problem = increments ? undefined : baseProblem(base, origin);
    if (problem !== undefined) throw refuse(problem);
    return false;
  };
}

/**
 * Looks at the header of every record of a stream before it is passed on, and at no payload.
 * Refused, by StreamFailure, is what must not reach `zfs receive` as an image: a stream that is
 * redacted (OpenZFS 2.3.2 panics on one without its list of redactions), raw, resumed,
 * deduplicated or incremental, of a filesystem, of several snapshots or volumes, and unknown records. `allows`
 * lets resumed and incremental ones pass, or those alone that build on one snapshot.
 * Of a package (zfs send -p, -R) with one snapshot only that snapshot's own stream is passed on: a
 * package's list has properties and holds of whoever made it.
 * What does not begin as a stream at all passes: the receiver refuses it.
 */
export function createStreamGuard(allows: StreamAllowance = {}): StreamGuard {
  const checkBegin = createBeginCheck(allows);
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
  let isPackage = false;
  /** Whether the record at hand, with its payload, is passed on. */
  let passes = true;

  /** @returns the bytes of the list that follows it. */
  function checkBeginHeader(): number {
    littleEndian = header.getBigUint64(PLACE.beginMagic, true) === MAGIC;
    if (header.getBigUint64(PLACE.beginMagic, littleEndian) !== MAGIC) {
      throw new StreamFailure("corrupt", offset, "a BEGIN record without its magic number");
    }
    const isHead = checkBegin(header, littleEndian, offset);
    if (isHead && offset > 0) throw new StreamFailure("corrupt", offset, "a package inside of a stream");
    isPackage ||= isHead;
    passes = !isHead;
    const list = header.getUint32(PLACE.payloadBytes, littleEndian);
    if (list > MAX_LIST_BYTES) throw new StreamFailure("corrupt", offset, `a list of ${list} bytes`);
    return list;
  }

  /** Sets `passes`. @returns the bytes of the record's payload. */
  function checkHeader(): number {
    if (offset === 0 && !mayBeStream(gathered)) {
      isForeign = true;
      return 0;
    }
    const name = readRecordName(header, littleEndian, offset);
    if (name === "BEGIN") return checkBeginHeader();
    const bytes = PAYLOAD_BYTES[name](header, littleEndian);
    if (bytes < 0) {
      throw new StreamFailure("corrupt", offset, `a ${name} record that its kind of stream does not have`);
    }
    if (bytes > MAX_PAYLOAD_BYTES) {
      throw new StreamFailure("corrupt", offset, `a ${name} record of ${bytes} bytes`);
    }
    return bytes;
  }

  /** The END of a package's snapshot is the last record of it that passes. */
  function leaveRecord(): void {
    if (isPackage && skip === 0 && header.getUint32(PLACE.type, littleEndian) === RECORD.END) passes = false;
  }

  return {
    push(chunk) {
      const parts: Uint8Array[] = [];
      let at = 0;
      /** Where the bytes begin that are passed on next, as one part. */
      let from = 0;
      const cut = (end: number) => {
        if (passes && end > from) parts.push(chunk.subarray(from, end));
        from = end;
      };
      while (at < chunk.length && !isForeign) {
        const skipped = Math.min(skip, chunk.length - at);
        skip -= skipped;
        offset += skipped;
        at += skipped;
        if (at === chunk.length) break;
        const size = Math.min(RECORD_BYTES - filled, chunk.length - at);
        const spans = size < RECORD_BYTES;
        // Only a whole header is passed on, and its payload may pass where the last one did not.
        if (spans || isPackage || offset === 0) cut(at);
        gathered.set(chunk.subarray(at, at + size), filled);
        filled += size;
        at += size;
        if (filled < RECORD_BYTES) {
          from = at;
          break;
        }
        filled = 0;
        skip = checkHeader();
        offset += RECORD_BYTES;
        if (spans) {
          if (passes) parts.push(gathered.slice());
          from = at;
        }
        if (isPackage) {
          cut(at);
          leaveRecord();
        }
      }
      cut(chunk.length);
      return parts;
    },
    finish: () => gathered.slice(0, passes ? filled : 0),
  };
}
