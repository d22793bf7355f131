import { createBatcher } from "./batcher.js";

/**
 * Coalesces reads: callers that wait at the same moment share one run, and those with equal
 * keys one answer. A call never joins a run that began before it, so no answer is older than
 * its question. With `maxRuns` above 1, a call need not wait for the run in flight to end.
 * @param run reads all `keys`. @returns the value of each of them.
 */
export function createCoalescer<Key, Value>(
  maxRuns: number,
  run: (keys: readonly Key[]) => Promise<(key: Key) => Value>,
): (key: Key) => Promise<Value> {
  /** The promise of each key whose run has not begun. */
  const waiting = new Map<Key, Promise<Value>>();
  const submit = createBatcher<Key, Value>({
    maxBatches: maxRuns,
    runBatch: async (keys) => {
      for (const key of keys) waiting.delete(key);
      return keys.map(await run(keys));
    },
  });
  return (key) => {
    const shared = waiting.get(key);
    if (shared) return shared;
    const submitted = submit(key);
    waiting.set(key, submitted);
    return submitted;
  };
}

/** A run that all who wait for it share, and that nobody joins once it has begun. */
export function createSharedRun(run: () => Promise<void>): () => Promise<void> {
  const share = createCoalescer<null, void>(1, async () => {
    await run();
    return () => {};
  });
  return () => share(null);
}
