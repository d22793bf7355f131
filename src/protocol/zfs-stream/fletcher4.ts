/**
 * Fletcher-4 as OpenZFS computes it: four sums modulo 2^64 over 32-bit words, where
 * a += word, b += a, c += b, d += c. See docs/decisions/zfs-stream.md.
 */
export interface Fletcher4 {
  /** Takes a whole number of words, in the byte order given; they need no alignment. */
  add(bytes: DataView, start: number, end: number, littleEndian: boolean): void;
  /** Writes the sums so far, 32 bytes. */
  write(to: DataView, at: number, littleEndian: boolean): void;
  /** Tells whether the 32 bytes there are the sums so far. */
  matches(stated: DataView, at: number, littleEndian: boolean): boolean;
}

const WORD_BYTES = 4;
/** The most words whose sums stay exact in doubles: the fourth is below 2^32 * 64*65*66*67/24 < 2^52. */
const RUN_WORDS = 64;
const RUN_BYTES = RUN_WORDS * WORD_BYTES;
const HALF = 2 ** 32;
const INVERSE_HALF = 2 ** -32;

export function createFletcher4(): Fletcher4 {
  // The halves of a, b, c and d, low before high: whole numbers below 2^32. An array of
  // doubles, for a closure's variables would each be a number on the heap.
  const sums = new Float64Array(8);

  /** Sum `index` becomes low + high * 2^32, both of which may be larger than a half. */
  function set(index: number, low: number, high: number): void {
    const carry = Math.floor(low * INVERSE_HALF);
    const top = high + carry;
    sums[index] = low - carry * HALF;
    sums[index + 1] = top - Math.floor(top * INVERSE_HALF) * HALF;
  }

  /**
   * Continues the sums by those of a run of `n` words that began at zero. What was there
   * before counts once more in b for each word of the run, and so on: hence the
   * binomial factors. Nothing here reaches 2^53, so nothing is rounded.
   */
  function fold(n: number, a: number, b: number, c: number, d: number): void {
    const aLow = sums[0] as number;
    const aHigh = sums[1] as number;
    const bLow = sums[2] as number;
    const bHigh = sums[3] as number;
    const cLow = sums[4] as number;
    const cHigh = sums[5] as number;
    const dLow = sums[6] as number;
    const dHigh = sums[7] as number;
    const n2 = (n * (n + 1)) / 2;
    const n3 = (n2 * (n + 2)) / 3;
    set(0, aLow + a, aHigh);
    set(2, n * aLow + bLow + b, n * aHigh + bHigh);
    set(4, n2 * aLow + n * bLow + cLow + c, n2 * aHigh + n * bHigh + cHigh);
    set(6, n3 * aLow + n2 * bLow + n * cLow + dLow + d, n3 * aHigh + n2 * bHigh + n * cHigh + dHigh);
  }

  /** Where half `index` of the sums stands in a checksum field. */
  function placeOf(index: number, littleEndian: boolean): number {
    return WORD_BYTES * (littleEndian ? index : index ^ 1);
  }

  return {
    add(bytes, start, end, littleEndian) {
      for (let at = start; at < end; at += RUN_BYTES) {
        const stop = Math.min(end, at + RUN_BYTES);
        let a = 0;
        let b = 0;
        let c = 0;
        let d = 0;
        for (let word = at; word < stop; word += WORD_BYTES) {
          a += bytes.getUint32(word, littleEndian);
          b += a;
          c += b;
          d += c;
        }
        fold((stop - at) / WORD_BYTES, a, b, c, d);
      }
    },
    write(to, at, littleEndian) {
      for (const [index, half] of sums.entries()) {
        to.setUint32(at + placeOf(index, littleEndian), half, littleEndian);
      }
    },
    matches(stated, at, littleEndian) {
      return sums.every(
        (half, index) => stated.getUint32(at + placeOf(index, littleEndian), littleEndian) === half,
      );
    },
  };
}
