import type { OutsideChange } from "../../protocol/storage/outside-change.js";

/** Changes by others on their way to main. */
export interface ToldChanges {
  add(change: OutsideChange): void;
  /** Others may have been made that are not told. */
  miss(): void;
  close(): void;
}

/** Changes of so long go together, and what they tell twice is told once. */
const TOGETHER_MS = 100;
/** More are not told one by one: whoever keeps a list has to look anew all the same. */
const MOST_TOGETHER = 256;
/** Looking anew costs much, so it is not asked for more often. */
const MISSED_MS = 5_000;

export function createToldChanges(
  pool: string,
  send: (changes: readonly OutsideChange[]) => void,
): ToldChanges {
  /** Those that wait, by topic, id and action. */
  let waiting = new Map<string, OutsideChange>();
  /** Set while some wait, or that some were missed. */
  let sending: NodeJS.Timeout | undefined;
  let hasMissed = false;
  /** When it was told last that some were missed, by performance.now(). */
  let missedAt = Number.NEGATIVE_INFINITY;

  function later(ms: number): void {
    sending ??= setTimeout(flush, ms);
    sending.unref();
  }

  function flush(): void {
    sending = undefined;
    const changes = [...waiting.values()];
    waiting = new Map();
    const restMs = missedAt + MISSED_MS - performance.now();
    const isTime = hasMissed && restMs <= 0;
    if (isTime) {
      hasMissed = false;
      missedAt = performance.now();
      changes.push({ topic: "pool", action: "changed", id: pool, what: "missed" });
    }
    if (changes.length > 0) send(changes);
    if (hasMissed) later(restMs);
  }

  function miss(): void {
    hasMissed = true;
    later(TOGETHER_MS);
  }

  return {
    miss,
    add: (change) => {
      const { topic, action, id, what, detail } = change;
      const key = (of: string) => JSON.stringify([topic, id, of, what, detail]);
      if (action === "changed" && waiting.has(key("created"))) return;
      if (action === "deleted") waiting.delete(key("changed"));
      // In the order of the newest.
      waiting.delete(key(action));
      if (waiting.size >= MOST_TOGETHER) return miss();
      waiting.set(key(action), change);
      if (waiting.size === 1) {
        // What was missed may be told later than this.
        clearTimeout(sending);
        sending = undefined;
      }
      later(TOGETHER_MS);
    },
    close: () => clearTimeout(sending),
  };
}
