import { shownUrl } from "../../protocol/storage/image-hosts.js";
import { logWith } from "../../protocol/threads/actor-log.js";
import type { WaitReport } from "../../protocol/threads/work-report.js";
import type { DatasetLocks } from "./dataset-locks.js";
import type { FetchQueue } from "./fetch-queue.js";
import type { ActorContext } from "./operations/context.js";
import type { Work } from "./work.js";

/**
 * A context that notes in `work` what it waits for: locks, calls of the driver and of the records,
 * and the streaming worker. Made for each operation that changes something; reads do without it.
 */
export function trackedContext(context: ActorContext, work: Work): ActorContext {
  const { zfs, records, locks, fetch, store, log } = context;
  const requestId = work.operation?.requestId;
  const ids = work.spans ? { requestId, traceId: work.spans.traceId } : { requestId };
  return {
    ...context,
    log: requestId === undefined ? log : logWith(log, ids),
    zfs: trackedCalls(zfs, "driver", work),
    records: trackedCalls(records, "records", work),
    locks: trackedLocks(locks, work),
    fetch: (order, cancelled) =>
      work.during("stream", shownUrl(order.url), (moved) => fetch(order, cancelled, moved)),
    store: (order, cancelled) =>
      work.during("stream", `store ${order.profileName}: ${order.task}`, (moved) =>
        store(order, cancelled, moved),
      ),
  };
}

function trackedLocks(locks: DatasetLocks, work: Work): DatasetLocks {
  return {
    get size() {
      return locks.size;
    },
    with: (requests, run) => locks.with(requests, run, work),
  };
}

/** A fetch that runs or waits is waited for without a time limit; `fetch` itself has one again. */
export function trackedFetches<T>(fetches: FetchQueue<T>, work: Work, what: string): FetchQueue<T> {
  return {
    keys: fetches.keys,
    has: fetches.has,
    counts: fetches.counts,
    leave: fetches.leave,
    cancel: fetches.cancel,
    request: (id, fetch, caller, expected) => {
      /** Ends the wait for the queue, once the fetch of this work runs or another one has ended. */
      let leaveQueue: () => void = () => {};
      const inQueue = new Promise<void>((resolve) => {
        leaveQueue = resolve;
      });
      void work.during("queue", `${what} ${id}`, () => inQueue);
      const outcome = fetches.request(
        id,
        (cancelled) => {
          leaveQueue();
          return fetch(cancelled);
        },
        caller,
        expected,
      );
      return outcome.finally(leaveQueue);
    },
  };
}

/**
 * The same object, but each call of it is noted in `work` until it has answered. `prepareCopies`
 * gets a listener for its progress behind its arguments.
 */
export function trackedCalls<T extends object>(inner: T, kind: WaitReport["kind"], work: Work): T {
  return new Proxy(inner, {
    get(target, key) {
      const member = Reflect.get(target, key);
      if (typeof member !== "function") return member;
      // Data that is copied may take as long as a transfer.
      const isCopy = key === "prepareCopies";
      return (...args: unknown[]) =>
        work.during(isCopy ? "copy" : kind, [String(key), ...args.flatMap(nameIn)].join(" "), (moved) =>
          member.apply(target, isCopy ? [...args, moved] : args),
        );
    },
  });
}

/** The names among the arguments of a call. */
function nameIn(argument: unknown): string[] {
  if (typeof argument === "string") return [argument];
  if (typeof argument !== "object" || argument === null || !("name" in argument)) return [];
  return [String(argument.name)];
}
