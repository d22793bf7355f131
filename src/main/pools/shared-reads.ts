import { type FailedOutcome, limitReached, type Outcome } from "../../protocol/storage/failures.js";
import { isList, isRead } from "../../protocol/storage/operation-kinds.js";
import type { Operation } from "../../protocol/storage/operations.js";
import { keyOf } from "../../protocol/storage/reply-limit.js";

/**
 * How many different lists of a pool run at once. A list of 100,000 snapshots takes some 30 MB in
 * the actor, and as much again in main until its text is written.
 */
const LISTS_AT_ONCE = 4;

/**
 * Shares the reads that are long (lists) or slow (GetPool) among the callers that ask for the same.
 * A caller joins only a run that begins after it came, so no answer is older than its question. And
 * a run begins only when the one before it that asked for the same has ended: however many callers
 * come meanwhile, they share one.
 */
export interface SharedReads {
  /** Undefined for an operation that is not shared. Fails: service.overloaded if too many wait. */
  read<T>(operation: Operation): Promise<Outcome<T>> | undefined;
}

/** @param most how many different reads may wait. */
export function createSharedReads(
  call: <T>(operation: Operation) => Promise<Outcome<T>>,
  most: number,
): SharedReads {
  const lists = createQueue(call, LISTS_AT_ONCE, most);
  const pools = createQueue(call, 1, most);
  return {
    read: <T>(operation: Operation) => {
      if (operation.op === "GetPool") return pools<T>(operation);
      return isRead(operation) && isList(operation) ? lists<T>(operation) : undefined;
    },
  };
}

/** A run that has not begun. */
interface Waiting {
  readonly answer: Promise<Outcome<never>>;
  begin(): Promise<unknown>;
}

/** The failure of an operation when so many are pending. */
export function mailboxFull(most: number): FailedOutcome {
  return limitReached("limits.mailbox", `at most ${most} pending operations`);
}

function createQueue(
  call: <T>(operation: Operation) => Promise<Outcome<T>>,
  atOnce: number,
  most: number,
): <T>(operation: Operation) => Promise<Outcome<T>> {
  /** By what they ask for, the oldest first. */
  const waiting = new Map<string, Waiting>();
  /** What runs, by what it asks for: at most `atOnce`. */
  const running = new Set<string>();

  function beginNext(): void {
    for (const [key, { begin }] of waiting) {
      if (running.size >= atOnce) return;
      if (running.has(key)) continue;
      waiting.delete(key);
      running.add(key);
      void begin().finally(() => {
        running.delete(key);
        beginNext();
      });
    }
  }

  return (operation) => {
    const key = keyOf(operation);
    const joined = waiting.get(key);
    if (joined) return joined.answer;
    if (waiting.size >= most) return Promise.resolve(mailboxFull(most));
    let begin: Waiting["begin"] = () => Promise.resolve();
    const answer = new Promise<Outcome<never>>((resolve) => {
      begin = () => call<never>(operation).then(resolve);
    });
    waiting.set(key, { answer, begin });
    // At the end of this turn: what else comes in it shares the run, and goes in the same frame.
    if (waiting.size === 1) setImmediate(beginNext);
    return answer;
  };
}
