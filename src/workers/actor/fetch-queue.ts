import { type Outcome, refusals } from "../../protocol/storage/failures.js";

export interface FetchQueue<T> {
  /** Runs `fetch` for `id`, or joins the one under way. Fails at once when the queue is full. */
  request(id: string, fetch: () => Promise<Outcome<T>>): Promise<Outcome<T>>;
  /** Ids being fetched or waiting for it. */
  keys(): Iterable<string>;
  has(id: string): boolean;
}

/** Single-flight per id, told to `onChange` at its begin and end; at most `running` at once, at most `waiting` behind them. */
export function createFetchQueue<T>(
  running: number,
  waiting: number,
  onChange: (id: string, isUnderWay: boolean) => void = () => {},
): FetchQueue<T> {
  const flights = new Map<string, Promise<Outcome<T>>>();
  const queue: (() => void)[] = [];
  let active = 0;

  async function fly(fetch: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    if (active < running) active++;
    else await new Promise<void>((start) => queue.push(start));
    try {
      return await fetch();
    } finally {
      const next = queue.shift();
      if (next) next();
      else active--;
    }
  }

  return {
    keys: () => flights.keys(),
    has: (id) => flights.has(id),
    request: (id, fetch) => {
      const flight = flights.get(id);
      if (flight) return flight;
      if (active >= running && queue.length >= waiting) return Promise.resolve(refusals.overloaded);
      const started = fly(fetch).finally(() => {
        flights.delete(id);
        onChange(id, false);
      });
      flights.set(id, started);
      onChange(id, true);
      return started;
    },
  };
}
