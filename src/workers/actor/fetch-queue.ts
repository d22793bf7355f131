import { failed, type Outcome } from "../../protocol/storage/failures.js";
import { createSlots } from "../processes/slots.js";

export interface FetchQueue<T> {
  /** Runs `fetch` for `id`, or joins the one under way. Fails at once when the queue is full. */
  request(id: string, fetch: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
  /** Ids being fetched or waiting for it. */
  keys(): Iterable<string>;
  has(id: string): boolean;
}

/**
 * Single-flight per id: at most `running` fetches at once, at most `waiting` behind them.
 * `onChange` is called at the begin and at the end of each.
 */
export function createFetchQueue<T>(
  running: number,
  waiting: number,
  onChange: (id: string, isUnderWay: boolean) => void = () => {},
): FetchQueue<T> {
  const flights = new Map<string, Promise<Outcome<T>>>();
  const slots = createSlots(running);
  return {
    keys: () => flights.keys(),
    has: (id) => flights.has(id),
    request: (id, fetch) => {
      const flight = flights.get(id);
      if (flight) return flight;
      if (slots.used >= running && slots.waiting >= waiting) return Promise.resolve(failed.overloaded);
      const started = slots.use(fetch).finally(() => {
        flights.delete(id);
        onChange(id, false);
      });
      flights.set(id, started);
      onChange(id, true);
      return started;
    },
  };
}
