/**
 * How far an image fetch has come, in memory that the streaming worker writes and main reads. So
 * main knows it even while the worker answers nothing.
 */
export interface FetchProgress {
  /** Bytes of the body as transferred. */
  readonly receivedBytes: number;
  /** Bytes of the stream that were given to the receiving command. */
  readonly streamBytes: number;
  /** When the last byte came, by the clock of Date.now; 0 before the first. */
  readonly lastByteAt: number;
  /** How many bytes the body has as the service says; undefined if it says nothing, and until it does. */
  readonly totalBytes: number | undefined;
  /** How often the service was asked, for all of it or for a part. */
  readonly requests: number;
  /** How often because an earlier request broke. */
  readonly repeats: number;
  /** Bytes that came again and were not given on: they are beside `receivedBytes`. */
  readonly repeatedBytes: number;
  /** Which of its alternates it has gone on with, from 1 on; 0: none. */
  readonly alternate: number;
}

/** Indexes into a Float64Array: a number of bytes is whole up to 2^53. */
const RECEIVED = 0;
const STREAM = 1;
const LAST_BYTE = 2;
/** 0: not known. */
const TOTAL = 3;
const REQUESTS = 4;
const REPEATED = 5;
const ALTERNATE = 6;
const REPEATS = 7;
const CELLS = 8;

/** The memory of a fetch that has not begun. */
export function createProgressMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Float64Array.BYTES_PER_ELEMENT);
}

/** For the streaming worker. */
export interface ProgressWriter {
  /** To be called with the length of the body, where the service says it. */
  onLength(totalBytes: number): void;
  /** To be called whenever bytes have come or were given on. */
  onProgress(receivedBytes: number, streamBytes: number): void;
  onRequest(requests: number, repeats: number): void;
  onRepeated(repeatedBytes: number): void;
  onAlternate(alternate: number): void;
}

export function createProgressWriter(memory: SharedArrayBuffer): ProgressWriter {
  const cells = new Float64Array(memory);
  return {
    onLength: (totalBytes) => {
      cells[TOTAL] = totalBytes;
    },
    onProgress: (receivedBytes, streamBytes) => {
      if (cells[RECEIVED] !== receivedBytes) cells[LAST_BYTE] = Date.now();
      cells[RECEIVED] = receivedBytes;
      cells[STREAM] = streamBytes;
    },
    onRequest: (requests, repeats) => {
      cells[REQUESTS] = requests;
      cells[REPEATS] = repeats;
    },
    onRepeated: (repeatedBytes) => {
      cells[REPEATED] = repeatedBytes;
    },
    onAlternate: (alternate) => {
      cells[ALTERNATE] = alternate;
    },
  };
}

/** For main. The members may be of two moments that follow each other. */
export function readProgress(memory: SharedArrayBuffer): FetchProgress {
  const cells = new Float64Array(memory);
  const [receivedBytes = 0, streamBytes = 0, lastByteAt = 0, total = 0] = cells;
  const [requests = 0, repeatedBytes = 0, alternate = 0, repeats = 0] = cells.subarray(REQUESTS);
  const totalBytes = total === 0 ? undefined : total;
  return { receivedBytes, streamBytes, lastByteAt, totalBytes, requests, repeats, repeatedBytes, alternate };
}
