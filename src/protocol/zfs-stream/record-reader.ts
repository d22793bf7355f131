import { createFletcher4 } from "./fletcher4.js";
import { mayBeStream, readBegin, type StreamBegin } from "./stream-begin.js";
import { StreamFailure } from "./stream-failure.js";
import {
  CHECKSUM_AT,
  PLACE,
  RECORD_BYTES,
  readRecord,
  readRecordName,
  type StreamRecord,
} from "./stream-records.js";

/** A record whose every byte, payload included, was covered by a checksum that is right. */
export type CheckedRecord =
  | { readonly kind: "begin"; readonly begin: StreamBegin }
  | {
      readonly kind: "record";
      readonly record: StreamRecord;
      readonly payload: Uint8Array;
      /** Of the record in the stream. */
      readonly offset: number;
    };

/** Reads records out of chunks, see createRecordReader. */
export interface RecordReader {
  /** What `chunk` completes. All of it must be taken before the next push. Throws StreamFailure. */
  push(chunk: Uint8Array): Generator<CheckedRecord>;
  /** Throws StreamFailure unless END was the last record and nothing came after it. */
  finish(): void;
  /** Records read so far, by name. */
  readonly recordCounts: Readonly<Record<string, number>>;
  /** Bytes taken so far. */
  readonly offset: number;
}

const EMPTY = new Uint8Array(0);

/** Cuts chunks into pieces of any size. Copies only what spans chunks, and keeps at most one piece. */
function createCutter() {
  let chunk: Uint8Array = EMPTY;
  let at = 0;
  let gathered: Uint8Array | undefined;
  let filled = 0;
  return {
    feed(next: Uint8Array): void {
      chunk = next;
      at = 0;
    },
    /** The next `size` bytes once they are there. Valid as long as the chunk is. */
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
    /** What is there of the piece asked for last. */
    started(): Uint8Array {
      return gathered?.subarray(0, filled) ?? EMPTY;
    },
    left(): number {
      return chunk.length - at;
    },
  };
}

/**
 * Reads a stream's records. A payload is covered only by the checksum in the header
 * behind it, so a record is given out when the next header has come and fits: nothing
 * unchecked leaves here. Memory: a payload and a header, or a chunk.
 */
export function createRecordReader(): RecordReader {
  const cutter = createCutter();
  const fletcher = createFletcher4();
  const counts: Record<string, number> = {};
  let problem: StreamFailure | undefined;
  let isTaking = false;
  /** Bytes of the stream that were fed, and bytes that were cut off as whole pieces. */
  let fed = 0;
  let cut = 0;
  let begin: StreamBegin | undefined;
  /** What waits for the header behind it. */
  let waiting: CheckedRecord | undefined;
  let payloadBytes = 0;
  let isEnded = false;

  const count = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };

  function start(header: Uint8Array): void {
    const view = new DataView(header.buffer, header.byteOffset, RECORD_BYTES);
    begin = readBegin(view);
    fletcher.add(view, 0, RECORD_BYTES, begin.byteOrder === "little");
    count("BEGIN");
    waiting = { kind: "begin", begin };
  }

  /** Checks the header at `at` of the piece, and with it the payload before it. */
  function check(view: DataView, at: number, littleEndian: boolean): StreamRecord {
    const offset = cut + at;
    fletcher.add(view, 0, at, littleEndian);
    const statesAll = fletcher.matches(view, at + PLACE.endChecksum, littleEndian);
    fletcher.add(view, at, at + CHECKSUM_AT, littleEndian);
    if (!fletcher.matches(view, at + CHECKSUM_AT, littleEndian)) {
      throw new StreamFailure(
        "corrupt",
        offset,
        "the checksum of this record, or of the data before it, is wrong",
      );
    }
    fletcher.add(view, at + CHECKSUM_AT, at + RECORD_BYTES, littleEndian);
    const header = new DataView(view.buffer, view.byteOffset + at, RECORD_BYTES);
    if (readRecordName(header, littleEndian, offset) === "END" && !statesAll) {
      throw new StreamFailure("corrupt", offset, "the checksum of the whole stream is wrong");
    }
    return readRecord(header, littleEndian, offset);
  }

  /** Takes one piece: the payload of the record that waits, and the header behind it. */
  function* readOn(piece: Uint8Array, littleEndian: boolean): Generator<CheckedRecord> {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.length);
    const payload = piece.subarray(0, payloadBytes);
    const offset = cut + payloadBytes;
    const record = check(view, payloadBytes, littleEndian);
    count(record.name);
    if (waiting) yield waiting.kind === "record" ? { ...waiting, payload } : waiting;
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
