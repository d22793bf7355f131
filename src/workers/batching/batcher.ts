interface BatcherOptions<Item, Answer> {
  /** Batches in flight at once. With more than one, a lone item need not wait for a batch to end. */
  readonly maxBatches: number;
  /** Most items in a batch. Without it a batch takes its even share of all pending items. */
  readonly maxItems?: number;
  /** Items with equal keys never share a batch. Without it any items may. */
  keyOf?(item: Item): string;
  /** Processes one batch. @returns one answer for each item, in the order of the items. */
  runBatch(items: readonly Item[]): Promise<readonly Answer[]>;
}

/** Fewer items than this are not split to have more batches in flight. */
const SMALLEST_SHARE = 16;

/**
 * Collects items into batches. While `maxBatches` are in flight, new items wait; when a batch
 * ends, the next one takes those that wait, in the order in which they were submitted. With
 * fewer in flight, an item starts at the end of the current turn of the event loop.
 * @returns a function that submits an item. Its promise settles with the item's own answer;
 *   it rejects if `runBatch` rejects, as do those of all items in that batch.
 */
export function createBatcher<Item, Answer>(
  options: BatcherOptions<Item, Answer>,
): (item: Item) => Promise<Answer> {
  interface Pending {
    readonly item: Item;
    resolve(answer: Answer): void;
    reject(error: unknown): void;
  }
  /** Items that are in no batch yet, oldest first. */
  let waiting: Pending[] = [];
  /** Batches in flight, at most `maxBatches`. */
  let batchesInFlight = 0;
  /** Items of those batches together. */
  let itemsInFlight = 0;
  /** Whether `startBatches` will run at the end of this turn. */
  let isScheduled = false;

  /** Removes the next batch from `waiting`. */
  function takeBatch(): Pending[] {
    // Batches share all pending items evenly. If one of them took most, the others would stay
    // small from then on: callers that are answered together also call again together.
    const pendingItems = waiting.length + itemsInFlight;
    const share = Math.max(SMALLEST_SHARE, Math.ceil(pendingItems / options.maxBatches));
    const maxItems = Math.min(share, options.maxItems ?? share);
    const keys = new Set<unknown>();
    const batch: Pending[] = [];
    const left: Pending[] = [];
    for (const pending of waiting) {
      const key = options.keyOf ? options.keyOf(pending.item) : pending;
      if (batch.length < maxItems && !keys.has(key)) batch.push(pending);
      else left.push(pending);
      keys.add(key);
    }
    waiting = left;
    return batch;
  }

  async function run(batch: readonly Pending[]): Promise<void> {
    batchesInFlight++;
    itemsInFlight += batch.length;
    try {
      const answers = await options.runBatch(batch.map(({ item }) => item));
      if (answers.length !== batch.length) throw new Error("a batch needs one answer for each of its items");
      for (const [index, answer] of answers.entries()) batch[index]?.resolve(answer);
    } catch (error) {
      for (const pending of batch) pending.reject(error);
    } finally {
      batchesInFlight--;
      itemsInFlight -= batch.length;
      startBatches();
    }
  }

  function startBatches(): void {
    while (batchesInFlight < options.maxBatches && waiting.length > 0) void run(takeBatch());
  }

  return (item) =>
    new Promise<Answer>((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (isScheduled) return;
      // Not before the end of the turn: the operations of one frame from main share a batch.
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        startBatches();
      });
    });
}
