import { inflateSync } from "node:zlib";
import { MAX_VOLUME_BYTES } from "../storage/units.js";
import { decodeLz4 } from "./lz4.js";
import type { StreamRecord } from "./read-record.js";
import { type CheckedRecord, createRecordReader } from "./record-reader.js";
import type { ResumePlace } from "./resume-list.js";
import type { StreamBegin } from "./stream-begin.js";
import { StreamFailure } from "./stream-failure.js";
import {
  DATA_OBJECT,
  MAX_OFFSET,
  PROPERTIES_OBJECT,
  TYPE_VOLUME_DATA,
  TYPE_VOLUME_PROPERTIES,
} from "./stream-records.js";
import { readVolumeSize } from "./volume-properties.js";

export type { StreamBegin } from "./stream-begin.js";

/** What each kind of event says. Offsets are places in the volume; these and sizes are bytes. */
interface EventContents {
  /** `resume`: of a stream that is the rest of another one. What comes before that place is not in it. */
  readonly begin: { readonly begin: StreamBegin; readonly resume: ResumePlace | undefined };
  /** Comes after the data. An incremental stream may lack it: then the size stays as it was. */
  readonly size: { readonly volsize: bigint };
  /** Comes before the data. Without `-L`, zfs-send(8) states at most 128 KiB. */
  readonly blocksize: { readonly volblocksize: number };
  /**
   * Whole blocks, so the last one may reach beyond a volsize that is no multiple of them.
   * `data` is valid until the next push.
   */
  readonly write: { readonly offset: number; readonly data: Uint8Array };
  /** The range reads as zeros from now on. It may reach far beyond the volume's end, but stays exact. */
  readonly free: { readonly offset: number; readonly length: number };
  readonly end: unknown;
}

export type VolumeEventKind = keyof EventContents;

/** What a stream says about a volume, in the order of the stream. Tell the kinds apart by `kind`. */
export type VolumeEvent<Kind extends VolumeEventKind = VolumeEventKind> = {
  readonly [K in Kind]: { readonly kind: K } & EventContents[K];
}[Kind];

interface VolumeReader {
  /** Gives the events that `chunk` completes; take all of them before the next push. Throws StreamFailure. */
  push(chunk: Uint8Array): Iterable<VolumeEvent>;
  /** The input has ended. Throws StreamFailure unless the stream was whole: END was the last record. */
  finish(): void;
  /** Records read so far, by name: BEGIN, OBJECT, WRITE, … */
  readonly recordCounts: Readonly<Record<string, number>>;
  /** How many bytes were pushed so far. */
  readonly offset: number;
}

type WriteRecord = Extract<StreamRecord, { name: "WRITE" | "WRITE_EMBEDDED" }>;

/** The bytes of a block, decompressed. */
function decode(record: WriteRecord, payload: Uint8Array, offset: number): Uint8Array {
  const isPadded = payload.length > record.storedBytes;
  const stored = isPadded ? payload.subarray(0, record.storedBytes) : payload;
  switch (record.compression) {
    case "none":
      return stored;
    case "lz4": {
      const data = new Uint8Array(record.logicalBytes);
      if (!decodeLz4(stored, data)) throw new StreamFailure("corrupt", offset, "its LZ4 data is wrong");
      return data;
    }
    case "gzip": {
      const data = inflate(stored, record.logicalBytes);
      if (data?.length !== record.logicalBytes) {
        throw new StreamFailure("corrupt", offset, "its gzip data is wrong");
      }
      return data;
    }
  }
}

function inflate(stored: Uint8Array, limitBytes: number): Uint8Array | undefined {
  try {
    return inflateSync(stored, { maxOutputLength: limitBytes });
  } catch {
    return undefined;
  }
}

/**
 * Reads the stream of one snapshot of a volume, as zfs-send(8) writes it: full or
 * incremental, plain or with -c, -e and -L, in either byte order. A right checksum covers
 * every event, but only `finish` shows that nothing is missing.
 * Memory: one record (16 MiB at most, and its decoded block) beside the chunk.
 * `mayBeResumed`: the rest of a stream that broke is read too, which is useless without what came before.
 */
export function createVolumeReader(mayBeResumed = false): VolumeReader {
  const records = createRecordReader(mayBeResumed);
  /** Why the stream is refused. Once set, every call throws it. */
  let problem: StreamFailure | undefined;
  /** Set by the first record. A full stream must state both sizes below. */
  let isFull = false;
  /** The volblocksize; undefined until the stream states it, and then never changed. */
  let blockBytes: number | undefined;
  /** Undefined until the stream states it, which is after the data. */
  let volsize: bigint | undefined;
  /** The end of the last write, or where a resumed stream goes on. Data and holes come in ascending order, so none may begin before it. */
  let dataEnd = 0;

  /** A volume has no data behind its size, except for the rest of its last block. */
  function checkDataEnd(offset: number): void {
    if (volsize === undefined || blockBytes === undefined) return;
    const block = BigInt(blockBytes);
    const limit = ((volsize + block - 1n) / block) * block;
    if (BigInt(dataEnd) > limit) {
      throw new StreamFailure(
        "corrupt",
        offset,
        `it has data up to ${dataEnd} in a volume of ${volsize} bytes`,
      );
    }
  }

  function* readObject(record: Extract<StreamRecord, { name: "OBJECT" }>, offset: number) {
    const { object, type } = record;
    const isData = object === DATA_OBJECT;
    const expected = isData ? TYPE_VOLUME_DATA : TYPE_VOLUME_PROPERTIES;
    if ((isData || object === PROPERTIES_OBJECT) && type !== expected) {
      throw new StreamFailure(
        "corrupt",
        offset,
        `object ${object} is of type ${type}, a volume's is ${expected}`,
      );
    }
    if (!isData || blockBytes === record.blockBytes) return;
    if (blockBytes !== undefined)
      throw new StreamFailure("corrupt", offset, "it states two sizes of a block");
    if (!Number.isInteger(Math.log2(record.blockBytes))) {
      throw new StreamFailure("corrupt", offset, `blocks of ${record.blockBytes} bytes, no power of two`);
    }
    blockBytes = record.blockBytes;
    yield { kind: "blocksize", volblocksize: blockBytes } as const;
  }

  function* readData(record: WriteRecord, payload: Uint8Array, offset: number) {
    const { offset: place, logicalBytes } = record;
    if (blockBytes === undefined) throw new StreamFailure("corrupt", offset, "data comes before its object");
    if (place + logicalBytes > MAX_OFFSET) {
      throw new StreamFailure("unsupported", offset, "it has data behind the first 8 PiB");
    }
    if (place % blockBytes !== 0 || logicalBytes % blockBytes !== 0) {
      throw new StreamFailure("corrupt", offset, "its data is no whole block in the place of one");
    }
    if (place < dataEnd) throw new StreamFailure("corrupt", offset, "its data is out of order");
    dataEnd = place + logicalBytes;
    checkDataEnd(offset);
    yield { kind: "write", offset: place, data: decode(record, payload, offset) } as const;
  }

  function* readProperties(record: WriteRecord, payload: Uint8Array, offset: number) {
    if (record.offset !== 0) {
      throw new StreamFailure("unsupported", offset, "its volume's properties are more than a block");
    }
    const size = readVolumeSize(decode(record, payload, offset));
    if (size === undefined || size === 0n || size > MAX_VOLUME_BYTES) {
      throw new StreamFailure("corrupt", offset, "its volume's properties state no possible size");
    }
    volsize = size;
    checkDataEnd(offset);
    yield { kind: "size", volsize } as const;
  }

  function* readFree(record: Extract<StreamRecord, { name: "FREE" }>, offset: number) {
    if (record.object !== DATA_OBJECT || record.length === 0) return;
    if (record.offset >= MAX_OFFSET) {
      throw new StreamFailure("unsupported", offset, "it frees data behind the first 8 PiB");
    }
    // OpenZFS sends no such record, and `zfs receive` would keep the data: it could be read in two ways.
    if (record.offset < dataEnd) {
      throw new StreamFailure("corrupt", offset, "it frees what it may have written before");
    }
    const length = Math.min(record.length, MAX_OFFSET - record.offset);
    yield { kind: "free", offset: record.offset, length } as const;
  }

  /** Where the data of a stream begins. Only a volume's data is in parts, so nothing goes on behind it. */
  function startOf({ begin, resume }: Extract<CheckedRecord, { kind: "begin" }>): number {
    if (!begin.features.includes("resuming")) return 0;
    if (resume?.object === DATA_OBJECT && resume.offset <= MAX_OFFSET) return resume.offset;
    throw new StreamFailure("unsupported", 0, "it does not go on within the data of its volume");
  }

  function* read(checked: CheckedRecord): Generator<VolumeEvent> {
    if (checked.kind === "begin") {
      isFull = checked.begin.fromGuid === 0n;
      dataEnd = startOf(checked);
      yield checked;
      return;
    }
    const { record, payload, offset } = checked;
    switch (record.name) {
      case "OBJECT":
        yield* readObject(record, offset);
        return;
      case "WRITE":
      case "WRITE_EMBEDDED":
        if (record.object === DATA_OBJECT) yield* readData(record, payload, offset);
        if (record.object === PROPERTIES_OBJECT) yield* readProperties(record, payload, offset);
        return;
      case "FREE":
        yield* readFree(record, offset);
        return;
      case "FREEOBJECTS":
        if (record.first <= PROPERTIES_OBJECT && record.end > DATA_OBJECT) {
          throw new StreamFailure("corrupt", offset, "it frees the volume itself");
        }
        return;
      case "SPILL":
        // Attributes of a file. A volume has no files, so they don't matter here.
        return;
      case "END":
        if (isFull && (volsize === undefined || blockBytes === undefined)) {
          throw new StreamFailure("corrupt", offset, "it is full but states no size of its volume");
        }
        yield { kind: "end" };
    }
  }

  return {
    *push(chunk) {
      if (problem) throw problem;
      try {
        for (const checked of records.push(chunk)) yield* read(checked);
      } catch (error) {
        if (error instanceof StreamFailure) problem = error;
        throw error;
      }
    },
    finish() {
      if (problem) throw problem;
      records.finish();
    },
    recordCounts: records.recordCounts,
    get offset() {
      return records.offset;
    },
  };
}
