/**
 * A ring buffer of bytes in memory that two threads share: one thread writes, the other reads
 * in place. A byte that passes through costs no allocation, so it leaves no garbage to collect
 * (docs/decisions/streams.md). Each side notifies the other by a message only when the other
 * would not look at the ring by itself; sending that message is the caller's work.
 */

/** Indexes into the head, an Int32Array. Counts are of bytes since the start, modulo 2^32. */
const WRITTEN = 0;
const RELEASED = 1;
/** 1 from the moment the writer asks for the reader to be notified until the reader polls. */
const READER_NOTIFIED = 2;
/** 1 while the writer waits for a notification that there is room. */
const WRITER_WAITING = 3;

const HEAD_BYTES = 64;
/** The longest single write, as a share of the ring. With less free than that, the writer may wait. */
export const LONGEST_WRITE = 1 / 4;
/** The share of the ring that must be free before a waiting writer is notified. */
const ENOUGH_ROOM = 1 / 2;

/** The memory of an empty ring for `bytes` of data, at least 1 KiB. */
export function createRingMemory(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + bytes);
}

/** Empties a ring that neither side uses any more. */
export function clearRing(memory: SharedArrayBuffer): void {
  new Int32Array(memory, 0, HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT).fill(0);
}

export interface RingWriter {
  /** Where the next bytes go; at least one byte long. Fill it only after `hasRoom` returned true. */
  region(): Uint8Array;
  /** Whether that region is free. If not, the reader's `release` returns true once it is worth asking again. */
  hasRoom(): boolean;
  /** Publishes the first `bytes` of the region. @returns whether the caller must notify the reader. */
  commit(bytes: number): boolean;
}

/** Positions are bytes since the start of the stream. */
export interface RingReader {
  /** How far the stream has come. The next `commit` after a poll asks for a notification. */
  poll(): number;
  /** The bytes from a position on, at most `limit`, in one piece; valid until they are released. */
  view(position: number, limit: number): Uint8Array;
  /** Lets the writer overwrite what is before `position`. @returns whether the caller must notify the writer. */
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
      Atomics.store(head, WRITER_WAITING, 1);
      // The reader may have released bytes just before that store, without seeing it: check again.
      if (!isFree()) return false;
      Atomics.store(head, WRITER_WAITING, 0);
      return true;
    },
    commit: (bytes) => {
      written += bytes;
      Atomics.store(head, WRITTEN, written | 0);
      return Atomics.exchange(head, READER_NOTIFIED, 1) === 0;
    },
  };
}

export function createRingReader(memory: SharedArrayBuffer): RingReader {
  const head = new Int32Array(memory, 0, HEAD_BYTES / Int32Array.BYTES_PER_ELEMENT);
  const data = new Uint8Array(memory, HEAD_BYTES);
  let seen = 0;

  return {
    poll: () => {
      // Before the load: a commit that the load misses then asks for a notification.
      Atomics.store(head, READER_NOTIFIED, 0);
      seen += (Atomics.load(head, WRITTEN) - seen) >>> 0;
      return seen;
    },
    view: (position, limit) => {
      const start = position % data.length;
      return data.subarray(start, Math.min(start + Math.min(limit, seen - position), data.length));
    },
    release: (position) => {
      Atomics.store(head, RELEASED, position | 0);
      if (Atomics.load(head, WRITER_WAITING) === 0) return false;
      if (data.length - (seen - position) < data.length * ENOUGH_ROOM) return false;
      return Atomics.exchange(head, WRITER_WAITING, 0) === 1;
    },
  };
}
