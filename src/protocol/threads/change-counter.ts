/** 0: the driver's changes are not counted. */
const UNCOUNTED = 0;

/** Memory of a ChangeCounter, which two threads share. */
export function createChangeMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Counts the changes of a pool's datasets: while it stays equal, none has changed. Its actor counts
 * each change before anybody can hear of it.
 */
export interface ChangeCounter {
  /** Undefined: this pool's changes are not counted, as those that other programs make. */
  readonly value: number | undefined;
  count(): void;
}

export function openChangeCounter(memory: SharedArrayBuffer): ChangeCounter {
  const [cells, cell] = [new Int32Array(memory), 0];
  return {
    get value() {
      const value = Atomics.load(cells, cell);
      return value === UNCOUNTED ? undefined : value;
    },
    count() {
      // It wraps after 4 billion changes, and does not stop at 0.
      if (Atomics.add(cells, cell, 1) + 1 === UNCOUNTED) Atomics.add(cells, cell, 1);
    },
  };
}
