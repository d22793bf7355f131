import { createGrouper } from "./batcher.js";

/**
 * Joins reads: all that wait at one moment share one run, and a read never joins a
 * run that began before it arrived, so an answer is never older than its question.
 * With more than one run `atOnce`, who comes while one is under way need not wait for it.
 */
export function createCoalescer<Key, Value>(
  atOnce: number,
  run: (keys: readonly Key[]) => Promise<(key: Key) => Value>,
): (key: Key) => Promise<Value> {
  /** Keys that wait for a run to begin. */
  const waiting = new Map<Key, Promise<Value>>();
  const ask = createGrouper<Key, Value>({
    atOnce,
    run: async (keys) => {
      for (const key of keys) waiting.delete(key);
      return keys.map(await run(keys));
    },
  });
  return (key) => {
    const known = waiting.get(key);
    if (known) return known;
    const asked = ask(key);
    waiting.set(key, asked);
    return asked;
  };
}
