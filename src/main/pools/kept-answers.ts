import type { Outcome } from "../../protocol/storage/failures.js";
import type { Operation } from "../../protocol/storage/operations.js";
import type { ChangeCounter } from "../../protocol/threads/change-counter.js";
import type { PoolHistory } from "./pool-history.js";

/**
 * Answers to look-ups of one dataset, kept for as long as nothing in the pool changes. So none is
 * older than its question.
 */
export interface KeptAnswers {
  /** Undefined where there is none, and where only `ask` can tell. */
  find(operation: Operation): Outcome<unknown> | undefined;
  /** Answers by what is kept, or else by `ask`, and keeps that if nothing changed meanwhile. For any operation. */
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

/** The answers that hold in one state of a pool. */
function createAnswers<State extends string | number>() {
  const answers = new Map<string, Outcome<unknown>>();
  let heldIn: State | undefined;

  /** In another state than before there is none. In an unknown one nothing is known to hold. */
  function enter(state: State | undefined): boolean {
    if (state === undefined) return false;
    if (state !== heldIn) answers.clear();
    heldIn = state;
    return true;
  }

  return {
    find: (key: string, state: State | undefined) => (enter(state) ? answers.get(key) : undefined),
    /** Keeps an answer of which the state is that of now. Failures but `not found` are not kept. */
    keep(key: string, state: State, outcome: Outcome<unknown>): void {
      if (!outcome.ok && outcome.failure.code !== "dataset.not_found") return;
      enter(state);
      if (answers.size >= MOST_KEPT) answers.clear();
      answers.set(key, outcome);
    },
  };
}

/** Of a pool whose actor counts its changes. One whose changes are not counted has none. */
export function createKeptAnswers(counter: Pick<ChangeCounter, "value">): KeptAnswers {
  const answers = createAnswers<number>();
  return {
    find(operation) {
      const key = keyOf(operation);
      return key === undefined ? undefined : answers.find(key, counter.value);
    },
    async ask(operation, ask) {
      const key = keyOf(operation);
      const at = counter.value;
      const outcome = await ask();
      if (key !== undefined && at !== undefined && at === counter.value) answers.keep(key, at, outcome);
      return outcome;
    },
  };
}

/** Of a pool that other programs change too, by its history, which is read after each question came. */
export function createWitnessedAnswers(history: Pick<PoolHistory, "now">): KeptAnswers {
  const answers = createAnswers<string>();
  return {
    find: () => undefined,
    async ask<T>(operation: Operation, ask: () => Promise<Outcome<T>>) {
      const key = keyOf(operation);
      if (key === undefined) return ask();
      const at = await history.now();
      const kept = answers.find(key, at);
      // The same operation has the same kind of answer.
      if (kept) return kept as Outcome<T>;
      const outcome = await ask();
      if (at !== undefined) {
        // Nobody waits for this: the answer is right without it.
        void history.now().then((now) => {
          if (now === at) answers.keep(key, at, outcome);
        });
      }
      return outcome;
    },
  };
}
