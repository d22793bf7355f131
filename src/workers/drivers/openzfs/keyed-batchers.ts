/** Keeps what `create` makes for a key as long as somebody waits for an answer of it. */
export function perKey<Key, Item, Answer>(
  create: (key: Key) => (item: Item) => Promise<Answer>,
): (key: Key, item: Item) => Promise<Answer> {
  interface Kept {
    readonly ask: (item: Item) => Promise<Answer>;
    users: number;
  }
  const kept = new Map<Key, Kept>();
  return async (key, item) => {
    const found = kept.get(key) ?? { ask: create(key), users: 0 };
    kept.set(key, found);
    found.users++;
    try {
      return await found.ask(item);
    } finally {
      if (--found.users === 0) kept.delete(key);
    }
  };
}
