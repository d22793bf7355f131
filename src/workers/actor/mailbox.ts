import { failed, type Outcome } from "../../protocol/storage/failures.js";
import type { Operation, OperationHandlers } from "../../protocol/storage/operations.js";

/**
 * The operations that an actor has under way. Main bounds their number before it sends one
 * (limits.mailbox), so nothing is refused for it here.
 */
export interface Mailbox {
  /** From now on these handlers run operations. */
  open(handlers: OperationHandlers): void;
  /** From now on operations fail with service.interrupted; those under way go on. */
  close(): void;
  run(operation: Operation): Promise<Outcome<unknown>>;
  /** Operations under way. */
  readonly pending: number;
  /** Resolves when no operation is under way (true), or after `graceMs` (false). */
  drain(graceMs: number): Promise<boolean>;
}

export function createMailbox(): Mailbox {
  /** Undefined while the actor takes no operations. */
  let handlers: OperationHandlers | undefined;
  /** Handlers that run: each is counted from its call until its promise has settled. */
  let pending = 0;
  /** Those who wait for `pending` to become 0; empty whenever it is 0. */
  let drains: (() => void)[] = [];

  function settle(): void {
    pending--;
    if (pending > 0) return;
    const waiting = drains;
    drains = [];
    for (const resolve of waiting) resolve();
  }

  return {
    open: (opened) => {
      handlers = opened;
    },
    close: () => {
      handlers = undefined;
    },
    run: async (operation) => {
      if (!handlers) return failed.interrupted;
      pending++;
      try {
        return await handle(handlers, operation);
      } finally {
        settle();
      }
    },
    get pending() {
      return pending;
    },
    drain: (graceMs) =>
      new Promise((resolve) => {
        if (pending === 0) return resolve(true);
        const timer = setTimeout(() => resolve(false), graceMs);
        drains.push(() => {
          clearTimeout(timer);
          resolve(true);
        });
      }),
  };
}

function handle(handlers: OperationHandlers, operation: Operation): Promise<Outcome<unknown>> {
  // The compiler can't see that an operation goes to the handler of its own name.
  const run = handlers[operation.op] as (ask: Operation) => Promise<Outcome<unknown>>;
  return run(operation);
}
