import { failed, type Outcome } from "../../protocol/storage/failures.js";
import type { Operation, OperationHandlers } from "../../protocol/storage/operations.js";

/**
 * Runs the operations of an actor and counts them. Main limits their number before it sends one
 * (limits.mailbox), so the mailbox itself is never full.
 */
export interface Mailbox {
  /** Lets operations run, by these handlers. */
  open(handlers: OperationHandlers): void;
  /** Lets later operations fail with service.interrupted. Those that run go on. */
  close(): void;
  /** Rejects only if a handler does, which is a bug. */
  run(operation: Operation): Promise<Outcome<unknown>>;
  /** Operations that run. */
  readonly pending: number;
  /** Resolves with true once no operation runs, or with false after `graceMs`. */
  drain(graceMs: number): Promise<boolean>;
}

export function createMailbox(): Mailbox {
  /** Set by `open`, undefined before it and after `close`: then every operation fails. */
  let handlers: OperationHandlers | undefined;
  /** Operations that run: each counts from the call of its handler until its promise settles. */
  let pending = 0;
  /** Resolves the calls of `drain` that wait for `pending` to become 0; empty whenever it is 0. */
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
  // The compiler can't see that `op` names the handler which takes this operation.
  const run = handlers[operation.op] as (ask: Operation) => Promise<Outcome<unknown>>;
  return run(operation);
}
