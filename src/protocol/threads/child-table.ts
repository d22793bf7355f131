/**
 * The child processes that a thread runs, in memory shared with the main thread. The children
 * of a thread outlive its crash. So the main thread kills those in the table before it starts
 * the next thread: no command of a dead actor may change the pool while its successor reconciles.
 */
export interface ChildTable {
  /** Adds a running child. Call the returned function once the child has been waited for. */
  add(pid: number | undefined): () => void;
  /** Adds a child that leads a process group: the whole group is killed with it. */
  addGroup(pid: number | undefined): () => void;
}

/** More than the configuration lets run at once. A child that finds the table full is not recorded. */
export const CHILD_TABLE_SLOTS = 4096;

/** The memory of an empty table. */
export function createChildMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CHILD_TABLE_SLOTS * Int32Array.BYTES_PER_ELEMENT);
}

export function createChildTable(shared: SharedArrayBuffer): ChildTable {
  const slots = new Int32Array(shared);
  const record = (id: number) => {
    const index = slots.indexOf(0);
    if (index < 0) return () => {};
    Atomics.store(slots, index, id);
    return () => {
      Atomics.compareExchange(slots, index, id, 0);
    };
  };
  return {
    add: (pid) => (pid === undefined ? () => {} : record(pid)),
    // As in kill(2): a negative id means a process group.
    addGroup: (pid) => (pid === undefined ? () => {} : record(-pid)),
  };
}
