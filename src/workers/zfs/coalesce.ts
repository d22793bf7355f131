/**
 * Joins reads: all that wait at one moment share one run, and a read never joins a
 * run that began before it arrived, so an answer is never older than its question.
 */
export function createCoalescer<Key, Value>(
  run: (keys: readonly Key[]) => Promise<(key: Key) => Value>,
): (key: Key) => Promise<Value> {
  interface Waiter {
    readonly key: Key;
    resolve(value: Value): void;
    reject(error: unknown): void;
  }
  let waiting: Waiter[] = [];
  let running = false;

  async function drain(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const joined = waiting;
      waiting = [];
      try {
        const answer = await run([...new Set(joined.map((waiter) => waiter.key))]);
        for (const waiter of joined) waiter.resolve(answer(waiter.key));
      } catch (error) {
        for (const waiter of joined) waiter.reject(error);
      }
    }
    running = false;
  }

  return (key) =>
    new Promise<Value>((resolve, reject) => {
      waiting.push({ key, resolve, reject });
      // Start after the current turn, so that what came in one frame shares one run.
      if (!running) {
        running = true;
        queueMicrotask(drain);
      }
    });
}
