/** Remembers for a moment who asked for what, so that readers who come together can share a send. */
export interface RecentReaders {
  /** Notes a reader of a snapshot. @returns whether another one came a moment ago. */
  add(snapshot: string): boolean;
}

/** As many snapshots are remembered, unless more are asked for within the moment. */
const MANY = 1_000;

export function createRecentReaders(momentMs: number): RecentReaders {
  /** When a snapshot was last asked for, the latest at the end. */
  const askedAt = new Map<string, number>();
  return {
    add: (snapshot) => {
      const now = performance.now();
      const before = askedAt.get(snapshot);
      askedAt.delete(snapshot);
      askedAt.set(snapshot, now);
      for (const [oldest, at] of askedAt) {
        if (askedAt.size <= MANY || now - at < momentMs) break;
        askedAt.delete(oldest);
      }
      return before !== undefined && now - before < momentMs;
    },
  };
}
