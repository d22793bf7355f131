import { createFletcher4 } from "./fletcher4.js";
import { readRecord, type StreamRecord } from "./read-record.js";
import { type ResumePlace, readResumeList } from "./resume-list.js";
import { mayBeStream, readBegin, type StreamBegin } from "./stream-begin.js";
import { StreamFailure } from "./stream-failure.js";
import { CHECKSUM_AT, PLACE, RECORD, RECORD_BYTES } from "./stream-records.js";

/** A record of which a right checksum covers every byte, payload included. */
export type CheckedRecord =
  | {
      readonly kind: "begin";
      readonly begin: StreamBegin;
      /** Where a stream goes on that is the rest of an earlier one. */
      readonly resume: ResumePlace | undefined;
    }
  | {
      readonly kind: "record";
      readonly record: StreamRecord;
      readonly payload: Uint8Array;
      /** Of the record in the stream. */
      readonly offset: number;
    };

/** One whose payload is not there yet. */
type WaitingRecord =
  | { kind: "begin"; begin: StreamBegin; resume: ResumePlace | undefined }
  | { kind: "record"; record: StreamRecord; payload: Uint8Array; offset: number };

/** Reads the records of one stream, see createRecordReader. */
interface RecordReader {
  /** Gives the records that `chunk` completes; take all of them before the next push. Throws StreamFailure. */
  push(chunk: Uint8Array): Generator<CheckedRecord>;
  /** The input has ended. Throws StreamFailure unless END was the last record, with nothing behind it. */
  finish(): void;
  /** Records read so far, by name. */
  readonly recordCounts: Readonly<Record<string, number>>;
  /** How many bytes were pushed so far. */
  readonly offset: number;
}

const EMPTY = new Uint8Array(0);
/** The list of a resumed stream has a few numbers. */
const MAX_RESUME_LIST_BYTES = 64 * 1024;

/** Cuts chunks into pieces of any size. Copies only a piece that spans chunks, and keeps at most one. */
function createPieceCutter() {
  /** The chunk that is being cut. */
  let chunk: Uint8Array = EMPTY;
  /** How much of the chunk is cut off already. */
  let at = 0;
  /** The piece that spans chunks, with its full length; undefined while no piece is started. */
  let gathered: Uint8Array | undefined;
  /** How many bytes of `gathered` are there; 0 while it is undefined. */
  let filled = 0;
  return {
    feed(next: Uint8Array): void {
      chunk = next;
      at = 0;
    },
    /**
     * The next `size` bytes, or undefined until enough chunks were fed; then the next call must
     * have the same size. A piece is valid as long as its chunk.
     */
    take(size: number): Uint8Array | undefined {
      const left = chunk.length - at;
      if (!gathered && left >= size) {
        at += size;
        return chunk.subarray(at - size, at);
      }
      if (left === 0) return undefined;
      gathered ??= new Uint8Array(size);
      const part = Math.min(left, size - filled);
      gathered.set(chunk.subarray(at, at + part), filled);
      at += part;
      filled += part;
      if (filled < size) return undefined;
      const piece = gathered;
      gathered = undefined;
      filled = 0;
      return piece;
    },
    /** What is there of a piece that is not complete. */
    started(): Uint8Array {
      return gathered?.subarray(0, filled) ?? EMPTY;
    },
    left(): number {
      return chunk.length - at;
    },
  };
}

/**
 * Reads the records of one stream. Only the checksum in the next header covers a payload, so a
 * record is given out once the header behind it has arrived and its checksum is right: no
 * unchecked byte leaves this reader. Memory: one payload with a header, beside the chunk.
 * `mayBeResumed`: as of readBegin.
 */
export function createRecordReader(mayBeResumed = false): RecordReader {
  const cutter = createPieceCutter();
  /** The sums of what was read; their byte order is known from the first record on. */
  let fletcher = createFletcher4(true);
  const counts: Record<string, number> = {};
  /** Why the stream is refused. Once set, every call throws it. */
  let problem: StreamFailure | undefined;
  /** The records of the last push are not all taken yet. */
  let isTaking = false;
  /** Bytes of the stream that were pushed. */
  let fed = 0;
  /** Bytes of the stream that were cut off as whole pieces; the next piece begins here. */
  let cut = 0;
  /** Undefined until the first record is read. */
  let begin: StreamBegin | undefined;
  /** The last record that was read. It waits until the header behind it proves its payload right. */
  let waiting: WaitingRecord | undefined;
  /** The size of the payload of `waiting`, which the next piece begins with. */
  let payloadBytes = 0;
  /** END was read: nothing may follow. */
  let isEnded = false;

  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };

  function start(header: Uint8Array): void {
    const view = new DataView(header.buffer, header.byteOffset, RECORD_BYTES);
    begin = readBegin(view, mayBeResumed);
    if (begin.listBytes > MAX_RESUME_LIST_BYTES) {
      throw new StreamFailure("corrupt", 0, `a list of ${begin.listBytes} bytes`);
    }
    fletcher = createFletcher4(begin.byteOrder === "little");
    fletcher.add(view, 0, RECORD_BYTES);
    count("BEGIN");
    waiting = { kind: "begin", begin, resume: undefined };
    payloadBytes = begin.listBytes;
  }

  /** Checks the checksum in the header at `at` of a piece, which also covers the payload before it. */
  function check(view: DataView, at: number, littleEndian: boolean): StreamRecord {
    const offset = cut + at;
    const isEnd = view.getUint32(at + PLACE.type, littleEndian) === RECORD.END;
    if (isEnd) fletcher.add(view, 0, at);
    const statesAll = isEnd && fletcher.matches(view, at + PLACE.endChecksum);
    fletcher.add(view, isEnd ? at : 0, at + CHECKSUM_AT);
    if (!fletcher.matches(view, at + CHECKSUM_AT)) {
      throw new StreamFailure(
        "corrupt",
        offset,
        "the checksum of this record, or of the data before it, is wrong",
      );
    }
    fletcher.add(view, at + CHECKSUM_AT, at + RECORD_BYTES);
    if (isEnd && !statesAll) {
      throw new StreamFailure("corrupt", offset, "the checksum of the whole stream is wrong");
    }
    const header = new DataView(view.buffer, view.byteOffset + at, RECORD_BYTES);
    return readRecord(header, littleEndian, offset);
  }

  /** Reads one piece: the payload of the waiting record, and the header behind it. */
  function* readOn(piece: Uint8Array, littleEndian: boolean): Generator<CheckedRecord> {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
    const payload = piece.subarray(0, payloadBytes);
    const offset = cut + payloadBytes;
    const record = check(view, payloadBytes, littleEndian);
    count(record.name);
    if (waiting?.kind === "record") waiting.payload = payload;
    else if (waiting && payload.length > 0) waiting.resume = readResumeList(payload);
    if (waiting) yield waiting;
    waiting = { kind: "record", record, payload: EMPTY, offset };
    payloadBytes = record.payloadBytes;
    if (record.name !== "END") return;
    isEnded = true;
    yield waiting;
  }

  function* take(): Generator<CheckedRecord> {
    for (;;) {
      if (isEnded) {
        if (cutter.left() > 0) throw new StreamFailure("corrupt", cut, "data follows the end of the stream");
        return;
      }
      const piece = cutter.take(payloadBytes + RECORD_BYTES);
      if (!piece) return;
      if (begin) yield* readOn(piece, begin.byteOrder === "little");
      else start(piece);
      cut += piece.length;
    }
  }

  return {
    *push(chunk) {
      if (problem) throw problem;
      if (isTaking) throw new Error("push: what the last one gave was not all taken");
      isTaking = true;
      cutter.feed(chunk);
      fed += chunk.length;
      try {
        yield* take();
      } catch (error) {
        if (error instanceof StreamFailure) problem = error;
        throw error;
      }
      isTaking = false;
    },
    finish() {
      if (problem) throw problem;
      if (isTaking) throw new Error("finish: what the last push gave was not all taken");
      if (isEnded) return;
      if (!begin && !mayBeStream(cutter.started())) {
        throw new StreamFailure("foreign", 0, "it does not begin as one");
      }
      throw new StreamFailure("truncated", fed, fed === 0 ? "it is empty" : "its end is missing");
    },
    recordCounts: counts,
    get offset() {
      return fed;
    },
  };
}
