/** Work in small steps that takes turns with everything else that the event loop does. */
export interface Turns {
  /** Has `step` called until it did nothing. Adding it again meanwhile changes nothing. */
  add(step: () => number): void;
}

/**
 * A turn ends when its steps did `limit` (of whatever they return, bytes mostly), and
 * the next begins when the event loop has been round: what waits for the loop waits for
 * a turn at most. All that have work get a step each before one gets another.
 */
export function createTurns(limit: number): Turns {
  const waiting = new Set<() => number>();
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(turn);
  }

  function turn(): void {
    isScheduled = false;
    let left = limit;
    // What is added again while the set is walked is met again behind the others.
    for (const step of waiting) {
      waiting.delete(step);
      const done = step();
      if (done === 0) continue;
      waiting.add(step);
      left -= done;
      if (left <= 0) break;
    }
    if (waiting.size > 0) schedule();
  }

  return {
    add: (step) => {
      waiting.add(step);
      schedule();
    },
  };
}
