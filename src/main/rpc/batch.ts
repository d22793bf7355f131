import { isList } from "../../protocol/storage/operation-kinds.js";
import type { Soon } from "./reply-context.js";
import { callKey, type PlannedCall } from "./run-call.js";

export interface BatchLimits {
  /** The most requests in a batch. */
  readonly batchLength: number;
  /** The most calls in a batch that answer with a list, not counting repeats of the same list. */
  readonly batchLists: number;
}

/** How many calls of a batch run at once. The others wait in main, and leave the mailbox to other clients. */
const CALLS_AT_ONCE = 100;

/** @returns why a batch of so many requests is refused; undefined if it isn't. */
export function batchLengthProblem(length: number, { batchLength }: BatchLimits): string | undefined {
  if (length === 0) return "an empty batch";
  if (length <= batchLength) return undefined;
  return `a batch holds at most ${batchLength} requests (limits.batchLength), got ${length}`;
}

/** @returns why a batch of these calls is refused, before any of them ran; undefined if it isn't. */
export function batchCostProblem(
  calls: readonly PlannedCall[],
  { batchLists }: BatchLimits,
): string | undefined {
  const lists = new Set<string>();
  let changes = 0;
  for (const { planned } of calls) {
    if (!planned.ok || !isList(planned.value.operation)) continue;
    if ("recursive" in planned.value.operation) changes++;
    else lists.add(callKey(planned.value));
  }
  const count = lists.size + changes;
  if (count <= batchLists) return undefined;
  return `a batch holds at most ${batchLists} different lists and recursive calls (limits.batchLists), got ${count}`;
}

/** Runs `work` for each of `items`, some at once. A bug in one does not keep those behind it from running. */
export async function runSome<T, U>(items: readonly T[], work: (item: T) => Soon<U>): Promise<U[]> {
  const results: U[] = [];
  /** The first exception, which is thrown once all have run. */
  let bug: { readonly error: unknown } | undefined;
  // All share the iterator: each takes the next item when it has done its last one.
  const turns = items.entries();
  async function runInTurn(): Promise<void> {
    for (const [index, item] of turns) {
      try {
        results[index] = await work(item);
      } catch (error) {
        bug ??= { error };
      }
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, runInTurn));
  if (bug) throw bug.error;
  return results;
}
