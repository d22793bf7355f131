/** Work in small steps that takes turns with everything else that the event loop does. */
export interface Turns {
  /** Has `step` called until it did nothing. Adding it again meanwhile changes nothing. */
  add(step: () => number): void;
}

/**
 * Steps are done at once until they did `limit` (of whatever they return, bytes mostly);
 * the others wait until the event loop has been round, so that what waits for the loop
 * waits for a limit's work at most. Of those who wait all get a step before one gets another.
 */
export function createTurns(limit: number): Turns {
  const waiting = new Set<() => number>();
  let left = limit;
  let isScheduled = false;
  let isWorking = false;

  function work(): void {
    isWorking = true;
    // What is added again while the set is walked is met again behind the others.
    for (const step of waiting) {
      if (left <= 0) break;
      waiting.delete(step);
      const done = step();
      if (done === 0) continue;
      waiting.add(step);
      left -= done;
    }
    isWorking = false;
  }

  function nextTurn(): void {
    isScheduled = false;
    left = limit;
    work();
    if (left < limit) schedule();
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(nextTurn);
  }

  return {
    add: (step) => {
      waiting.add(step);
      if (!isWorking) work();
      schedule();
    },
  };
}
