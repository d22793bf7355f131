/**
 * Holds what several take of something, bytes of streams for example, to a rate. Each takes first, and waits
 * then until what it has taken is due: so whoever waits is not overtaken by those who take after it.
 */
export interface Pace {
  /** @returns how long to wait before more is taken, in ms. */
  take(bytes: number): number;
}

/** What was not taken for so long is lost: a timer that is late makes no stream slower, an idle hour none faster. */
const LATE_NS = 500_000_000n;
const NS_PER_S = 1_000_000_000n;
/** Of a pace that nobody has taken from. */
const NOT_BEGUN = 0n;

/** The memory of a pace, which several threads may have. */
export function createPaceMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
}

/** @param memory says when all that was taken is due; the clock is that of all threads. */
export function createPace(bytesPerSecond: number, memory = createPaceMemory()): Pace {
  const dueAt = new BigInt64Array(memory);
  const rate = BigInt(bytesPerSecond);
  return {
    take: (bytes) => {
      const needs = (BigInt(bytes) * NS_PER_S) / rate;
      for (;;) {
        const now = process.hrtime.bigint();
        const before = Atomics.load(dueAt, 0);
        const earliest = before === NOT_BEGUN ? now : now - LATE_NS;
        const after = (before < earliest ? earliest : before) + needs;
        if (Atomics.compareExchange(dueAt, 0, before, after) !== before) continue;
        return Math.max(0, Number(after - now) / 1e6);
      }
    },
  };
}

/** Holds to all of `paces`. Undefined: there is none. */
export function joinPaces(paces: readonly (Pace | undefined)[]): Pace | undefined {
  const given = paces.filter((pace) => pace !== undefined);
  if (given.length < 2) return given[0];
  return { take: (bytes) => Math.max(...given.map((pace) => pace.take(bytes))) };
}
