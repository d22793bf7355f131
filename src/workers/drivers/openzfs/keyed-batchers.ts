/**
 * One batcher for each key, such as a dataset. `create` makes it with the first call for the
 * key; it is dropped when no call for the key is pending, so memory follows the load and not
 * the number of keys ever seen.
 */
export function createKeyedBatchers<Key, Item, Answer>(
  create: (key: Key) => (item: Item) => Promise<Answer>,
): (key: Key, item: Item) => Promise<Answer> {
  interface KeyedBatcher {
    readonly submit: (item: Item) => Promise<Answer>;
    /** Calls that have no answer yet; at least one. */
    pendingCalls: number;
  }
  const batchers = new Map<Key, KeyedBatcher>();
  return async (key, item) => {
    const batcher = batchers.get(key) ?? { submit: create(key), pendingCalls: 0 };
    batchers.set(key, batcher);
    batcher.pendingCalls++;
    try {
      return await batcher.submit(item);
    } finally {
      if (--batcher.pendingCalls === 0) batchers.delete(key);
    }
  };
}
