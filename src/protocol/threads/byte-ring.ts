/**
 * A ring of bytes in memory that two threads share: one writes, the other reads where the
 * bytes are. Nothing is allocated or handed over for a byte that passes, so none of it is
 * left to the garbage collectors (docs/decisions/streams.md). A message goes from one thread
 * to the other only when that one would not look by itself.
 */

/** Words of the head, Int32. Counts are of bytes since the beginning, modulo 2^32. */
const WRITTEN = 0;
const RELEASED = 1;
/** 1 from when the reader is told that there is something until it looks. */
const READER_TOLD = 2;
/** 1 while the writer waits to be told of room. */
const WRITER_WAITS = 3;

const HEAD_BYTES = 64;
/** Of a ring, for the longest single write: with less free its writer may wait. */
export const LONGEST_WRITE = 1 / 4;
/** Of a ring, that must be free before a writer that waits is told. */
const ENOUGH_ROOM = 1 / 2;

/** The memory of an empty ring for `bytes` of data, at least 1 KiB. */
export function createRingMemory(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + bytes);
}

/** Empties a ring whose writer and reader are gone. */
export function clearRing(memory: SharedArrayBuffer): void {
  new Int32Array(memory, 0, HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT).fill(0);
}

export interface RingWriter {
  /** Where the next bytes go, one at least. To be filled only after `hasRoom` was true. */
  region(): Uint8Array;
  /** Whether that region is free. If not, the reader's `release` will tell when to ask again. */
  hasRoom(): boolean;
  /** The first `bytes` of the region are written. @returns whether the reader must be told. */
  commit(bytes: number): boolean;
}

/** Positions are bytes since the beginning of the stream. */
export interface RingReader {
  /** The end of what has been written so far. What is written afterwards is told. */
  look(): number;
  /** The bytes from a position on, `limit` at most, in one piece; good until they are released. */
  view(position: number, limit: number): Uint8Array;
  /** What is before `position` may be written over. @returns whether the writer must be told. */
  release(position: number): boolean;
}

export function createRingWriter(memory: SharedArrayBuffer): RingWriter {
  const head = new Int32Array(memory, 0, HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT);
  const data = new Uint8Array(memory, HEAD_BYTES);
  const longest = Math.floor(data.length * LONGEST_WRITE);
  let written = 0;

  const length = () => Math.min(longest, data.length - (written % data.length));
  const isFree = () => data.length - ((written - Atomics.load(head, RELEASED)) >>> 0) >= length();
  return {
    region: () => {
      const start = written % data.length;
      return data.subarray(start, start + length());
    },
    hasRoom: () => {
      if (isFree()) return true;
      Atomics.store(head, WRITER_WAITS, 1);
      // Released in between: then nobody may have seen that we wait.
      if (!isFree()) return false;
      Atomics.store(head, WRITER_WAITS, 0);
      return true;
    },
    commit: (bytes) => {
      written += bytes;
      Atomics.store(head, WRITTEN, written | 0);
      return Atomics.exchange(head, READER_TOLD, 1) === 0;
    },
  };
}

export function createRingReader(memory: SharedArrayBuffer): RingReader {
  const head = new Int32Array(memory, 0, HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT);
  const data = new Uint8Array(memory, HEAD_BYTES);
  let seen = 0;

  return {
    look: () => {
      // First this: what is written from now on is told again.
      Atomics.store(head, READER_TOLD, 0);
      seen += (Atomics.load(head, WRITTEN) - seen) >>> 0;
      return seen;
    },
    view: (position, limit) => {
      const start = position % data.length;
      return data.subarray(start, Math.min(start + Math.min(limit, seen - position), data.length));
    },
    release: (position) => {
      Atomics.store(head, RELEASED, position | 0);
      if (Atomics.load(head, WRITER_WAITS) === 0) return false;
      if (data.length - (seen - position) < data.length * ENOUGH_ROOM) return false;
      return Atomics.exchange(head, WRITER_WAITS, 0) === 1;
    },
  };
}
