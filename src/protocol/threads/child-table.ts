/**
 * A table of the processes that a thread has running, in memory shared with the
 * main thread. A thread that crashes leaves its children behind: the main thread
 * ends those in the table before it starts a new one, so that no command of a dead
 * actor changes a pool while its successor takes stock.
 */
export interface ChildTable {
  /** Notes a running child. Call the result once it has been waited for. */
  add(pid: number | undefined): () => void;
  /** Notes a child that leads a group of processes, which all end with it. */
  addGroup(pid: number | undefined): () => void;
}

/** Room for more children than any limit in the configuration allows at once. */
export const CHILD_TABLE_SLOTS = 4096;

/** The memory of an empty table. */
export function createChildMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CHILD_TABLE_SLOTS * Int32Array.BYTES_PER_ELEMENT);
}

export function createChildTable(shared: SharedArrayBuffer): ChildTable {
  const slots = new Int32Array(shared);
  const note = (id: number) => {
    const index = slots.indexOf(0);
    if (index < 0) return () => {};
    Atomics.store(slots, index, id);
    return () => {
      Atomics.compareExchange(slots, index, id, 0);
    };
  };
  return {
    add: (pid) => (pid === undefined ? () => {} : note(pid)),
    // As kill(2) has it: a negative id is a group's.
    addGroup: (pid) => (pid === undefined ? () => {} : note(-pid)),
  };
}
