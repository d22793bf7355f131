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
}

/** Indexes into a Float64Array: a number of bytes is whole up to 2^53. */
const RECEIVED = 0;
const STREAM = 1;
const LAST_BYTE = 2;

/** The memory of a fetch that has not begun. */
export function createProgressMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(3 * Float64Array.BYTES_PER_ELEMENT);
}

/** For the streaming worker: a function to be called whenever bytes have come or were given on. */
export function createProgressWriter(
  memory: SharedArrayBuffer,
): (receivedBytes: number, streamBytes: number) => void {
  const cells = new Float64Array(memory);
  return (receivedBytes, streamBytes) => {
    if (cells[RECEIVED] !== receivedBytes) cells[LAST_BYTE] = Date.now();
    cells[RECEIVED] = receivedBytes;
    cells[STREAM] = streamBytes;
  };
}

/** For main. The members may be of two moments that follow each other. */
export function readProgress(memory: SharedArrayBuffer): FetchProgress {
  const [receivedBytes = 0, streamBytes = 0, lastByteAt = 0] = new Float64Array(memory);
  return { receivedBytes, streamBytes, lastByteAt };
}
