/**
 * Runs many jobs in small steps on the event loop, round robin, and leaves the loop time for
 * everything else.
 */
export interface FairScheduler {
  /** Calls `step` repeatedly, until it returns 0. Adding a step that waits already changes nothing. */
  add(step: () => number): void;
}

/**
 * A step returns how much it did, in bytes for example. All steps together do about `turnBudget`
 * per turn of the event loop, the first of it at once; so whatever else waits for the loop waits
 * for that much work at most. Every waiting step runs once before any runs again.
 */
export function createFairScheduler(turnBudget: number): FairScheduler {
  const waiting = new Set<() => number>();
  /** What is left of this turn's budget. The last step may take it below 0. */
  let budget = turnBudget;
  /** A `nextTurn` is pending. Always true between turns while steps wait. */
  let isScheduled = false;
  /** `run` is on the stack. A step that adds a step must not enter it again. */
  let isRunning = false;

  function run(): void {
    isRunning = true;
    try {
      // A set is walked in insertion order: a step that is added again comes behind the others.
      for (const step of waiting) {
        if (budget <= 0) break;
        waiting.delete(step);
        const done = step();
        if (done === 0) continue;
        waiting.add(step);
        budget -= done;
      }
    } finally {
      isRunning = false;
    }
  }

  function nextTurn(): void {
    isScheduled = false;
    budget = turnBudget;
    run();
    if (budget < turnBudget) schedule();
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(nextTurn);
  }

  return {
    add: (step) => {
      waiting.add(step);
      if (!isRunning) run();
      schedule();
    },
  };
}
