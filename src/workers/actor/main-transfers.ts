import type { StoreAnswer, StoreOrder, StoreTaskName } from "../../protocol/backups/store-orders.js";
import { failed, type Outcome, succeed } from "../../protocol/storage/failures.js";
import type { FetchOrder, FetchReport } from "../../protocol/storage/operations.js";
import type { FetchCancelled, FetchMoved, TransferRequest } from "../../protocol/threads/actor-contract.js";
import type { Link } from "../../protocol/threads/link.js";

/** What main has the streaming worker do for an actor. */
export interface MainTransfers {
  fetch(order: FetchOrder, cancelled: AbortSignal, onMoved?: () => void): Promise<Outcome<FetchReport>>;
  store<K extends StoreTaskName>(
    order: StoreOrder & { readonly task: K },
    cancelled: AbortSignal,
    onMoved?: () => void,
  ): Promise<Outcome<StoreAnswer<K>>>;
  /** Main has told that bytes of a transfer have moved. */
  onMoved(notice: FetchMoved): void;
}

/** `link`: gives the link to main, which may be opened later. */
export function createMainTransfers(link: () => Pick<Link, "call" | "notify">): MainTransfers {
  /** What hears of the bytes of each transfer that runs, by its number. */
  const moves = new Map<number, () => void>();
  let lastNumber = 0;

  async function ask<T>(
    what: { readonly fetch: FetchOrder } | { readonly store: StoreOrder },
    cancelled: AbortSignal,
    onMoved: () => void = () => {},
  ): Promise<Outcome<T>> {
    if (cancelled.aborted) return failed.cancelled;
    const number = ++lastNumber;
    moves.set(number, onMoved);
    const cancel = () => link().notify({ cancelled: number } satisfies FetchCancelled);
    cancelled.addEventListener("abort", cancel, { once: true });
    try {
      return await link().call<T>({ ...what, number } satisfies TransferRequest);
    } finally {
      moves.delete(number);
      cancelled.removeEventListener("abort", cancel);
    }
  }

  return {
    fetch: (fetch, ...more) => ask({ fetch }, ...more),
    store: async <K extends StoreTaskName>(
      store: StoreOrder & { readonly task: K },
      ...more: [AbortSignal, (() => void)?]
    ) => {
      const done = await ask<{ readonly value: StoreAnswer<K> }>({ store }, ...more);
      return done.ok ? succeed(done.value.value) : done;
    },
    onMoved: ({ moved }) => moves.get(moved)?.(),
  };
}
