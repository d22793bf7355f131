import type { Outcome } from "../../protocol/storage/failures.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { ChangeCounter } from "../../protocol/threads/change-counter.js";

/**
 * Answers to look-ups of one dataset, kept for as long as nothing in the pool changes. So none is
 * older than its question. A pool whose changes are not counted has none.
 */
export interface KeptAnswers {
  find(operation: Operation): Outcome<unknown> | undefined;
  /** Asks by `ask`, and keeps the answer if nothing changed meanwhile. For any operation. */
  ask<T>(operation: Operation, ask: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
}

/** About 5 MB. Clients may ask for any number of names. */
const MOST_KEPT = 10_000;

/** Undefined for operations that are no look-up of one dataset. */
function keyOf(operation: Operation): string | undefined {
  return operation.op === "GetSnapshot" || operation.op === "GetVolume"
    ? `${operation.op} ${operation.name}`
    : undefined;
}

export function createKeptAnswers(counter: Pick<ChangeCounter, "value">): KeptAnswers {
  /** Answers that hold while the counter is at `heldAt`. */
  const answers = new Map<string, Outcome<unknown>>();
  let heldAt: number | undefined;

  /** @returns whether there are answers that hold now. */
  function holds(): boolean {
    const now = counter.value;
    if (now === heldAt) return now !== undefined;
    answers.clear();
    heldAt = now;
    return false;
  }

  return {
    find(operation) {
      const key = keyOf(operation);
      return key !== undefined && holds() ? answers.get(key) : undefined;
    },
    async ask(operation, ask) {
      const key = keyOf(operation);
      const at = counter.value;
      if (key === undefined || at === undefined) return ask();
      const outcome = await ask();
      const isAnswer = outcome.ok || outcome.failure.code === "dataset.not_found";
      if (isAnswer && at === counter.value) {
        holds();
        if (answers.size >= MOST_KEPT) answers.clear();
        answers.set(key, outcome);
      }
      return outcome;
    },
  };
}
