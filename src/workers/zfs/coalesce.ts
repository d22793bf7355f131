/**
 * Joins reads: all that wait at one moment share one run, and a read never joins a
 * run that began before it arrived, so an answer is never older than its question.
 * With more than one run `atOnce`, who comes while one is under way need not wait for it.
 */
export function createCoalescer<Key, Value>(
  atOnce: number,
  run: (keys: readonly Key[]) => Promise<(key: Key) => Value>,
): (key: Key) => Promise<Value> {
  interface Waiter {
    readonly key: Key;
    resolve(value: Value): void;
    reject(error: unknown): void;
  }
  let waiting: Waiter[] = [];
  let running = 0;
  let isScheduled = false;

  async function runAll(): Promise<void> {
    const joined = waiting;
    waiting = [];
    running++;
    try {
      const answer = await run([...new Set(joined.map((waiter) => waiter.key))]);
      for (const waiter of joined) waiter.resolve(answer(waiter.key));
    } catch (error) {
      for (const waiter of joined) waiter.reject(error);
    } finally {
      running--;
      start();
    }
  }

  function start(): void {
    isScheduled = false;
    if (running < atOnce && waiting.length > 0) void runAll();
  }

  return (key) =>
    new Promise<Value>((resolve, reject) => {
      waiting.push({ key, resolve, reject });
      if (isScheduled || running >= atOnce) return;
      // After the current turn, so that what came in one frame shares one run.
      isScheduled = true;
      setImmediate(start);
    });
}
