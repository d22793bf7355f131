/**
 * A table of the processes that a thread has running, in memory shared with the
 * main thread. A thread that crashes leaves its children behind: the main thread
 * ends those in the table before it starts a new one, so that no command of a dead
 * actor changes a pool while its successor takes stock.
 */
export interface ChildTable {
  /** Notes a running child. Call the result once it has been waited for. */
  add(pid: number | undefined): () => void;
}

/** Room for more children than any limit in the configuration allows at once. */
export const CHILD_TABLE_SLOTS = 4096;

/** The memory of an empty table. */
export function createChildMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CHILD_TABLE_SLOTS * Int32Array.BYTES_PER_ELEMENT);
}

export function createChildTable(shared: SharedArrayBuffer): ChildTable {
  const slots = new Int32Array(shared);
  return {
    add: (pid) => {
      if (pid === undefined) return () => {};
      const index = slots.indexOf(0);
      if (index < 0) return () => {};
      Atomics.store(slots, index, pid);
      return () => {
        Atomics.compareExchange(slots, index, pid, 0);
      };
    },
  };
}
