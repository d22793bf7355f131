/**
 * Holds what several take of something, bytes of streams for example, to a rate. It is taken first and waited
 * for then: whoever has taken much waits for as long as that would have needed.
 */
export interface Pace {
  take(bytes: number): void;
  /** How long nobody may take anything, in ms; 0: more may be taken now. */
  waitMs(): number;
}

/** What was not taken for so long is lost: a timer that is late makes no stream slower, an idle hour none faster. */
const LATE_NS = 500_000_000n;
const NS_PER_S = 1_000_000_000n;

/** The memory of a pace, which several threads may have. */
export function createPaceMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  new BigInt64Array(memory)[0] = process.hrtime.bigint();
  return memory;
}

/** @param memory says when all that was taken will have been in time; the clock is that of all threads. */
export function createPace(bytesPerSecond: number, memory = createPaceMemory()): Pace {
  const freeAt = new BigInt64Array(memory);
  const rate = BigInt(bytesPerSecond);
  return {
    take: (bytes) => {
      const needs = (BigInt(bytes) * NS_PER_S) / rate;
      for (;;) {
        const before = Atomics.load(freeAt, 0);
        const earliest = process.hrtime.bigint() - LATE_NS;
        const after = (before < earliest ? earliest : before) + needs;
        if (Atomics.compareExchange(freeAt, 0, before, after) === before) return;
      }
    },
    waitMs: () => Math.max(0, Number(Atomics.load(freeAt, 0) - process.hrtime.bigint()) / 1e6),
  };
}

/** Holds to all of `paces`. Undefined: there is none. */
export function joinPaces(paces: readonly (Pace | undefined)[]): Pace | undefined {
  const given = paces.filter((pace) => pace !== undefined);
  if (given.length < 2) return given[0];
  return {
    take: (bytes) => {
      for (const pace of given) pace.take(bytes);
    },
    waitMs: () => Math.max(...given.map((pace) => pace.waitMs())),
  };
}
