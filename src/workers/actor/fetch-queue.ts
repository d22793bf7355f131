import {
  type FailedOutcome,
  fail,
  failed,
  limitReached,
  type Outcome,
  tellAbout,
} from "../../protocol/storage/failures.js";
import type { ImageExpectation } from "../../protocol/storage/image-request.js";
import type { CallerLeft } from "../../protocol/threads/actor-contract.js";

/** What a fetch was asked for. `origin`: the name of the snapshot that the image is to build on. */
export interface FetchTerms extends ImageExpectation {
  readonly origin?: string;
}

/** Fetches an image. `cancelled` is aborted once nobody wants it any more. */
type Fetch<T> = (cancelled: AbortSignal) => Promise<Outcome<T>>;

export interface FetchQueue<T> {
  /**
   * Runs `fetch`, or joins a fetch of the same id. Fails at once if the queue is full:
   * service.overloaded. `caller` is for `leave` and `cancel`; one without a number does neither. Fails
   * at once if the fetch of that id was asked for without what `expected` names: dataset.exists.
   */
  request(id: string, fetch: Fetch<T>, caller?: number, expected?: FetchTerms): Promise<Outcome<T>>;
  /**
   * A caller has gone. A fetch that waits for its turn and has no other caller leaves the queue,
   * with service.interrupted. One that runs goes on.
   */
  leave(id: string, caller: number): void;
  /**
   * A caller does not want it any more: its request fails with job.cancelled. The fetch goes on for
   * those who are left; without any it leaves the queue, or is aborted and waited for.
   */
  cancel(id: string, caller: number): void;
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
  readonly fetch: Fetch<T>;
  /** What it is checked against. */
  readonly expected: FetchTerms;
  readonly outcome: Promise<Outcome<T>>;
  readonly settle: (outcome: Outcome<T> | Promise<Outcome<T>>) => void;
  /** Those that want it and have a number, each with what answers it before the end. */
  readonly callers: Map<number, (outcome: Outcome<T>) => void>;
  /** Somebody waits who never leaves. */
  isKept: boolean;
  readonly cancelling: AbortController;
}

function createFlight<T>(id: string, fetch: Fetch<T>, expected: FetchTerms): Flight<T> {
  let settle: Flight<T>["settle"] = () => {};
  const outcome = new Promise<Outcome<T>>((resolve) => {
    settle = resolve;
  });
  const cancelling = new AbortController();
  return { id, fetch, expected, outcome, settle, callers: new Map(), isKept: false, cancelling };
}

/** Why whoever expects `wanted` can't share a flight: what it brings was not checked against that. */
function refusalOf(
  { id, expected }: Pick<Flight<unknown>, "id" | "expected">,
  wanted: FetchTerms,
): FailedOutcome | undefined {
  for (const field of ["digest", "size", "origin"] as const) {
    if (wanted[field] === undefined || wanted[field] === expected[field]) continue;
    const article = field === "origin" ? "an" : "a";
    const had = expected[field] === undefined ? `without ${article} ${field}` : `with another ${field}`;
    return tellAbout(fail("dataset.exists", `image ${id} is being fetched ${had}`), {
      ...{ object: `image ${id}`, field, wanted: String(wanted[field]) },
      found: expected[field] === undefined ? undefined : String(expected[field]),
    });
  }
  return undefined;
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
    const { signal } = flight.cancelling;
    const run = async () => {
      const outcome = await flight.fetch(signal);
      return signal.aborted && !outcome.ok ? failed.cancelled : outcome;
    };
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

  /** Takes a flight that nobody wants from those that wait. @returns false if it runs, or somebody wants it. */
  function drop(flight: Flight<T>, why: Outcome<T>): boolean {
    if (flight.callers.size > 0 || flight.isKept || !waiting.delete(flight)) return false;
    end(flight);
    flight.settle(why);
    return true;
  }

  return {
    keys: () => flights.keys(),
    has: (id) => flights.has(id),
    counts: () => ({ running, waiting: waiting.size }),
    request: (id, fetch, caller, expected = {}) => {
      const known = flights.get(id);
      const refusal = known && refusalOf(known, expected);
      if (refusal) return Promise.resolve(refusal);
      if (!known && running >= maxRunning && waiting.size >= maxWaiting) return Promise.resolve(full);
      const flight = known ?? createFlight(id, fetch, expected);
      if (!known) {
        flights.set(id, flight);
        onChange(id, true);
        if (running < maxRunning) begin(flight);
        else waiting.add(flight);
      }
      if (caller === undefined) {
        flight.isKept = true;
        return flight.outcome;
      }
      return new Promise((resolve, reject) => {
        flight.callers.set(caller, resolve);
        flight.outcome.then(resolve, reject);
      });
    },
    leave: (id, caller) => {
      const flight = flights.get(id);
      // Whose fetch runs still wants it: its client may ask again.
      if (!flight || !waiting.has(flight)) return;
      if (flight.callers.delete(caller)) drop(flight, nobodyWaits);
    },
    cancel: (id, caller) => {
      const flight = flights.get(id);
      const answer = flight?.callers.get(caller);
      if (!flight || !answer) return;
      flight.callers.delete(caller);
      if (flight.callers.size > 0 || flight.isKept) return answer(failed.cancelled);
      // What runs has to clean up first: its caller is answered by its end.
      if (!drop(flight, failed.cancelled)) flight.cancelling.abort();
    },
  };
}

/** Tells a queue of a client that has gone, or that does not want any more what it asked for. */
export function callerLeft(
  queue: Pick<FetchQueue<unknown>, "leave" | "cancel">,
  { id, caller, cancels }: CallerLeft,
): void {
  if (cancels) queue.cancel(id, caller);
  else queue.leave(id, caller);
}
