import type { StoreDone, StoreOrder } from "../../protocol/backups/store-orders.js";
import type { FailedOutcome, Outcome } from "../../protocol/storage/failures.js";
import { createProgressMemory, readProgress } from "../../protocol/threads/fetch-progress.js";
import type { StreamOrder } from "../../protocol/threads/streaming-contract.js";

/** An order for a store under way. */
export interface StoreState {
  readonly id: number;
  readonly owner: string;
  readonly order: StoreOrder;
  /** By the clock of Date.now. */
  readonly startedAt: number;
  readonly movedBytes: number;
}

interface PendingStore extends Omit<StoreState, "id" | "movedBytes"> {
  readonly progress: SharedArrayBuffer;
  onMoved(): void;
  settle(outcome: Outcome<StoreDone>): void;
  readonly settled: Promise<Outcome<StoreDone>>;
}

/** The orders for stores that a streaming thread has not answered. */
interface PendingStores {
  store(
    owner: string,
    order: StoreOrder,
    cancelled?: AbortSignal,
    onMoved?: () => void,
  ): Promise<Outcome<StoreDone>>;
  list(): readonly StoreState[];
  onMoved(id: number): void;
  onStored(id: number, outcome: Outcome<StoreDone>): void;
  /** Forgets all. @returns what fails those that were under way. */
  onThreadEnded(): (failure: FailedOutcome) => void;
  /** Cancels those of an owner, or all; resolves when they have ended. */
  abandon(owner?: string): Promise<void>;
}

export function createPendingStores({
  newId,
  order,
}: {
  newId(): number;
  order(message: StreamOrder): void;
}): PendingStores {
  const pending = new Map<number, PendingStore>();
  return {
    store: (owner, asked, cancelled, onMoved = () => {}) => {
      const id = newId();
      const progress = createProgressMemory();
      let settle: PendingStore["settle"] = () => {};
      const settled = new Promise<Outcome<StoreDone>>((resolve) => {
        settle = resolve;
      });
      pending.set(id, { owner, order: asked, startedAt: Date.now(), progress, onMoved, settle, settled });
      order({ kind: "store", id, order: asked, progress });
      cancelled?.addEventListener("abort", () => order({ kind: "cancel", id }), { once: true });
      return settled;
    },
    list: () =>
      Array.from(pending, ([id, { owner, order: asked, startedAt, progress }]) => ({
        ...{ id, owner, order: asked, startedAt },
        movedBytes: readProgress(progress).receivedBytes,
      })),
    onMoved: (id) => pending.get(id)?.onMoved(),
    onStored: (id, outcome) => {
      const found = pending.get(id);
      pending.delete(id);
      found?.settle(outcome);
    },
    onThreadEnded: () => {
      const broken = [...pending.values()];
      pending.clear();
      return (failure) => {
        for (const each of broken) each.settle(failure);
      };
    },
    abandon: async (owner) => {
      const owned = [...pending].filter(([, each]) => owner === undefined || each.owner === owner);
      for (const [id] of owned) order({ kind: "cancel", id });
      await Promise.all(owned.map(([, each]) => each.settled));
    },
  };
}
