import { failed, type Outcome } from "../../protocol/storage/failures.js";
import { createSlots } from "../processes/slots.js";

export interface FetchQueue<T> {
  /** Runs `fetch`, or joins a fetch of the same id. Fails at once if the queue is full: service.overloaded. */
  request(id: string, fetch: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
  /** Ids of fetches that run or wait. */
  keys(): Iterable<string>;
  /** Whether a fetch of the id runs or waits. */
  has(id: string): boolean;
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
  /** The outcome of each fetch that runs or waits. */
  const flights = new Map<string, Promise<Outcome<T>>>();
  const slots = createSlots(maxRunning);
  return {
    keys: () => flights.keys(),
    has: (id) => flights.has(id),
    request: (id, fetch) => {
      const flight = flights.get(id);
      if (flight) return flight;
      if (slots.used >= maxRunning && slots.waiting >= maxWaiting) return Promise.resolve(failed.overloaded);
      const outcome = slots.use(fetch).finally(() => {
        flights.delete(id);
        onChange(id, false);
      });
      flights.set(id, outcome);
      onChange(id, true);
      return outcome;
    },
  };
}
