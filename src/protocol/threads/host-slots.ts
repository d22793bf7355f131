/**
 * How many requests of all threads run at each host. Each thread has memory of its own beside that of all, so
 * that main can give back what a thread had that has crashed.
 */
export interface HostSlots {
  /** Waits for a place. @returns what gives it back. Rejects with the signal's reason. */
  take(host: string, signal: AbortSignal): Promise<() => void>;
}

/** Hosts with the same hash share their places: that is rare, and harms nobody. */
const CELLS = 256;
/** How often a thread looks for a place that another has given back. */
const LOOK_MS = 25;

export function createHostMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT);
}

function cellOf(host: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(host)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0) % CELLS;
}

interface Waiter {
  readonly cell: number;
  settle(): void;
}

/** `all` is the memory of all threads, `own` that of this one. */
export function openHostSlots(all: SharedArrayBuffer, own: SharedArrayBuffer, limit: number): HostSlots {
  const [taken, held] = [new Int32Array(all), new Int32Array(own)];
  /** Oldest first. */
  const waiters = new Set<Waiter>();
  /** Runs as long as somebody waits. */
  let timer: NodeJS.Timeout | undefined;

  function tryTake(cell: number): boolean {
    for (let count = Atomics.load(taken, cell); count < limit; count = Atomics.load(taken, cell)) {
      if (Atomics.compareExchange(taken, cell, count, count + 1) !== count) continue;
      Atomics.add(held, cell, 1);
      return true;
    }
    return false;
  }

  function look(): void {
    for (const waiter of waiters) if (tryTake(waiter.cell)) waiter.settle();
    if (waiters.size === 0) timer = void clearInterval(timer);
  }

  function releaserOf(cell: number): () => void {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      Atomics.sub(held, cell, 1);
      Atomics.sub(taken, cell, 1);
      look();
    };
  }

  return {
    take: (host, signal) => {
      const cell = cellOf(host);
      if (signal.aborted) return Promise.reject(signal.reason);
      const isFirst = ![...waiters].some((each) => each.cell === cell);
      if (isFirst && tryTake(cell)) return Promise.resolve(releaserOf(cell));
      return new Promise((resolve, reject) => {
        const leave = () => {
          waiters.delete(waiter);
          signal.removeEventListener("abort", onAbort);
        };
        const onAbort = () => {
          leave();
          reject(signal.reason);
        };
        const waiter: Waiter = {
          cell,
          settle: () => {
            leave();
            resolve(releaserOf(cell));
          },
        };
        waiters.add(waiter);
        signal.addEventListener("abort", onAbort);
        timer ??= setInterval(look, LOOK_MS);
      });
    },
  };
}

/** Gives back what a thread had that has ended. */
export function giveBackSlots(all: SharedArrayBuffer, own: SharedArrayBuffer): void {
  const [taken, held] = [new Int32Array(all), new Int32Array(own)];
  for (const cell of held.keys()) Atomics.sub(taken, cell, Atomics.exchange(held, cell, 0));
}
