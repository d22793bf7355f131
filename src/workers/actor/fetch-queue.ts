import { fail, limitReached, type Outcome } from "../../protocol/storage/failures.js";

export interface FetchQueue<T> {
  /**
   * Runs `fetch`, or joins a fetch of the same id. Fails at once if the queue is full:
   * service.overloaded. `caller` is for `leave`; one without a number never leaves.
   */
  request(id: string, fetch: () => Promise<Outcome<T>>, caller?: number): Promise<Outcome<T>>;
  /**
   * A caller has gone. A fetch that waits for its turn and has no other caller leaves the queue,
   * with service.interrupted. One that runs goes on.
   */
  leave(id: string, caller: number): void;
  /** Ids of fetches that run or wait. */
  keys(): Iterable<string>;
  /** How many run, and how many wait for their turn. */
  counts(): { readonly running: number; readonly waiting: number };
  /** Whether a fetch of the id runs or waits. */
  has(id: string): boolean;
}

const nobodyWaits = fail("service.interrupted", "the client went before its image was fetched");

/** A fetch that runs or waits. */
interface Flight<T> {
  readonly id: string;
  readonly fetch: () => Promise<Outcome<T>>;
  readonly outcome: Promise<Outcome<T>>;
  readonly settle: (outcome: Outcome<T> | Promise<Outcome<T>>) => void;
  /** Those that wait for it and may leave. */
  readonly callers: Set<number>;
  /** Somebody waits who never leaves. */
  isKept: boolean;
}

/**
 * A queue with a single flight per id: at most `maxRunning` fetches run, and at most `maxWaiting`
 * wait. Calls `onChange` when a fetch enters the queue and when it leaves it.
 */
export function createFetchQueue<T>(
  maxRunning: number,
  maxWaiting: number,
  onChange: (id: string, isPending: boolean) => void = () => {},
): FetchQueue<T> {
  const flights = new Map<string, Flight<T>>();
  /** In the order of their requests; empty unless `maxRunning` fetches run. */
  const waiting = new Set<Flight<T>>();
  let running = 0;
  const full = limitReached("maxPending", `at most ${maxWaiting} waiting fetches`);

  function end(flight: Flight<T>): void {
    flights.delete(flight.id);
    onChange(flight.id, false);
  }

  function begin(flight: Flight<T>): void {
    running++;
    const run = async () => flight.fetch();
    const fetched = run().finally(() => {
      running--;
      end(flight);
      const [next] = waiting;
      if (!next) return;
      waiting.delete(next);
      begin(next);
    });
    flight.settle(fetched);
  }

  return {
    keys: () => flights.keys(),
    has: (id) => flights.has(id),
    counts: () => ({ running, waiting: waiting.size }),
    request: (id, fetch, caller) => {
      let flight = flights.get(id);
      if (!flight) {
        if (running >= maxRunning && waiting.size >= maxWaiting) return Promise.resolve(full);
        let settle: Flight<T>["settle"] = () => {};
        const outcome = new Promise<Outcome<T>>((resolve) => {
          settle = resolve;
        });
        flight = { id, fetch, outcome, settle, callers: new Set(), isKept: false };
        flights.set(id, flight);
        onChange(id, true);
        if (running < maxRunning) begin(flight);
        else waiting.add(flight);
      }
      if (caller === undefined) flight.isKept = true;
      else flight.callers.add(caller);
      return flight.outcome;
    },
    leave: (id, caller) => {
      const flight = flights.get(id);
      if (!flight?.callers.delete(caller) || flight.callers.size > 0 || flight.isKept) return;
      if (!waiting.delete(flight)) return;
      end(flight);
      flight.settle(nobodyWaits);
    },
  };
}
