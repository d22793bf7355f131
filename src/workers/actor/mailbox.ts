import { failed, type Outcome } from "../../protocol/storage/failures.js";
import type { Operation, OperationHandlers } from "../../protocol/storage/operations.js";
import type { Work } from "./work.js";
import type { WorkBoard } from "./work-board.js";

/**
 * Runs the operations of an actor and counts them. Main limits their number before it sends one
 * (limits.mailbox), so the mailbox itself is never full.
 */
export interface Mailbox {
  /** Lets operations run, each by the handlers for its work. */
  open(handlersFor: (work: Work) => OperationHandlers): void;
  /** Lets later operations fail with service.interrupted. Those that run go on. */
  close(): void;
  /** Rejects only if a handler does, which is a bug. */
  run(operation: Operation): Promise<Outcome<unknown>>;
  /** Operations that run. */
  readonly pending: number;
  /** Resolves with true once no operation runs, or with false after `graceMs`. */
  drain(graceMs: number): Promise<boolean>;
}

/** Each operation is on the board of work while it runs. */
export function createMailbox(board: Pick<WorkBoard, "begin" | "end">): Mailbox {
  /** Set by `open`, undefined before it and after `close`: then every operation fails. */
  let handlersFor: ((work: Work) => OperationHandlers) | undefined;
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
      handlersFor = opened;
    },
    close: () => {
      handlersFor = undefined;
    },
    run: async (operation) => {
      if (!handlersFor) return failed.interrupted;
      pending++;
      const work = board.begin(operation.op, operation);
      try {
        const outcome = await handle(handlersFor(work), operation);
        work.spans?.end(outcome.ok ? undefined : outcome.failure.code);
        return outcome;
      } finally {
        board.end(work);
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
