/**
 * Fletcher-4 as OpenZFS computes it: four sums modulo 2^64 over 32-bit words, where
 * a += word, b += a, c += b, d += c. See docs/decisions/zfs-stream.md.
 */
interface Fletcher4 {
  /** Adds the words from `start` to `end`, a whole number of them in the given byte order. They need no alignment. */
  add(bytes: DataView, start: number, end: number, littleEndian: boolean): void;
  /** Writes the sums so far, 32 bytes, to `at`. */
  write(to: DataView, at: number, littleEndian: boolean): void;
  /** Whether the 32 bytes at `at` are the sums so far. */
  matches(stated: DataView, at: number, littleEndian: boolean): boolean;
}

const WORD_BYTES = 4;
/** The sums of so many words stay exact in doubles: the fourth is below 2^32 * 64*65*66*67/24 < 2^52. */
const RUN_WORDS = 64;
const RUN_BYTES = RUN_WORDS * WORD_BYTES;
const HALF = 2 ** 32;
const INVERSE_HALF = 2 ** -32;

/** Adds words to `sums`: the 32-bit halves of a, b, c and d, each low before high, as whole numbers. */
function addTo(sums: Float64Array, bytes: DataView, start: number, end: number, littleEndian: boolean): void {
  let aLow = sums[0] as number;
  let aHigh = sums[1] as number;
  let bLow = sums[2] as number;
  let bHigh = sums[3] as number;
  let cLow = sums[4] as number;
  let cHigh = sums[5] as number;
  let dLow = sums[6] as number;
  let dHigh = sums[7] as number;
  // "| 0": sizes that were read from a record are doubles, which make the loop below take five times as long.
  const last = end | 0;
  for (let at = start | 0; at < last; at += RUN_BYTES) {
    const stop = Math.min(last, at + RUN_BYTES);
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
    // Merge the sums of this run of n words, which began at zero, into the sums before it. Each
    // word adds the old a to b once more, the old b to c, and so on: hence the binomial factors.
    // d comes first and a last, since each needs the old values of those before it in the
    // alphabet. No intermediate result reaches 2^53.
    const n = (stop - at) / WORD_BYTES;
    const n2 = (n * (n + 1)) / 2;
    const n3 = (n2 * (n + 2)) / 3;
    const dSum = n3 * aLow + n2 * bLow + n * cLow + dLow + d;
    const cSum = n2 * aLow + n * bLow + cLow + c;
    const bSum = n * aLow + bLow + b;
    const aSum = aLow + a;
    const dCarry = Math.floor(dSum * INVERSE_HALF);
    const cCarry = Math.floor(cSum * INVERSE_HALF);
    const bCarry = Math.floor(bSum * INVERSE_HALF);
    const aCarry = Math.floor(aSum * INVERSE_HALF);
    dLow = dSum - dCarry * HALF;
    cLow = cSum - cCarry * HALF;
    bLow = bSum - bCarry * HALF;
    aLow = aSum - aCarry * HALF;
    dHigh = lowHalf(n3 * aHigh + n2 * bHigh + n * cHigh + dHigh + dCarry);
    cHigh = lowHalf(n2 * aHigh + n * bHigh + cHigh + cCarry);
    bHigh = lowHalf(n * aHigh + bHigh + bCarry);
    aHigh = lowHalf(aHigh + aCarry);
  }
  sums[0] = aLow;
  sums[1] = aHigh;
  sums[2] = bLow;
  sums[3] = bHigh;
  sums[4] = cLow;
  sums[5] = cHigh;
  sums[6] = dLow;
  sums[7] = dHigh;
}

function lowHalf(value: number): number {
  return value - Math.floor(value * INVERSE_HALF) * HALF;
}

/** The offset of half `index` of the sums in a checksum field. */
function placeOf(index: number, littleEndian: boolean): number {
  return WORD_BYTES * (littleEndian ? index : index ^ 1);
}

export function createFletcher4(): Fletcher4 {
  const sums = new Float64Array(8);
  return {
    add: (bytes, start, end, littleEndian) => addTo(sums, bytes, start, end, littleEndian),
    write(to, at, littleEndian) {
      for (let index = 0; index < sums.length; index++) {
        to.setUint32(at + placeOf(index, littleEndian), sums[index] as number, littleEndian);
      }
    },
    matches(stated, at, littleEndian) {
      for (let index = 0; index < sums.length; index++) {
        if (stated.getUint32(at + placeOf(index, littleEndian), littleEndian) !== sums[index]) return false;
      }
      return true;
    },
  };
}
