import type { WorkReport } from "../../protocol/threads/work-report.js";

/** A piece of work that was late. */
export interface LateNote {
  /** When it was last reported, by the clock of Date.now. */
  readonly at: number;
  readonly work: WorkReport;
}

/** The work of an actor that was late, the newest pieces. */
export interface LateHistory {
  /** Notes what the thread has reported. A piece of work that is known already is replaced. */
  note(works: readonly WorkReport[]): void;
  /** A new thread counts the ids of its work from 1 again. */
  startThread(): void;
  /** The newest last. */
  list(): readonly LateNote[];
}

/** Enough to see what began it all. */
const KEPT = 20;

export function createLateHistory(kept = KEPT): LateHistory {
  /** In the order in which they were last reported. */
  const notes = new Map<string, LateNote>();
  let threads = 1;
  return {
    note: (works) => {
      const at = Date.now();
      // Thousands of operations may be late together: the oldest are the cause.
      for (const work of works.slice(0, kept)) {
        const key = `${threads} ${work.id}`;
        notes.delete(key);
        notes.set(key, { at, work });
      }
      for (const key of notes.keys()) {
        if (notes.size <= kept) break;
        notes.delete(key);
      }
    },
    startThread: () => {
      threads++;
    },
    list: () => [...notes.values()],
  };
}
