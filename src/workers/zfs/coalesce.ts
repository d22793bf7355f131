import { createGrouper } from "./group.js";

/**
 * Joins reads: all that wait at one moment share one run, and a read never joins a
 * run that began before it arrived, so an answer is never older than its question.
 * With more than one run `atOnce`, who comes while one is under way need not wait for it.
 */
export function createCoalescer<Key, Value>(
  atOnce: number,
  run: (keys: readonly Key[]) => Promise<(key: Key) => Value>,
): (key: Key) => Promise<Value> {
  return createGrouper<Key, Value>({
    atOnce,
    run: async (keys) => keys.map(await run([...new Set(keys)])),
  });
}
