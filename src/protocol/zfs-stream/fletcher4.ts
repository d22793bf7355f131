import { createSimdSums, type SimdSums } from "./fletcher4-simd.js";

/**
 * Fletcher-4 as OpenZFS computes it: four sums modulo 2^64 over 32-bit words, where
 * a += word, b += a, c += b, d += c. See docs/decisions/zfs-stream.md.
 */
export interface Fletcher4 {
  /** Adds the words from `start` to `end`, a whole number of them. They need no alignment. */
  add(bytes: DataView, start: number, end: number): void;
  /** Writes the sums so far, 32 bytes, to `at`. */
  write(to: DataView, at: number): void;
  /** Whether the 32 bytes at `at` are the sums so far. */
  matches(stated: DataView, at: number): boolean;
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

/** The sums as doubles, of words in either byte order. */
function createDoubleSums(littleEndian: boolean): Fletcher4 {
  const sums = new Float64Array(8);
  return {
    add: (bytes, start, end) => addTo(sums, bytes, start, end, littleEndian),
    write(to, at) {
      for (let index = 0; index < sums.length; index++) {
        to.setUint32(at + placeOf(index, littleEndian), sums[index] as number, littleEndian);
      }
    },
    matches(stated, at) {
      for (let index = 0; index < sums.length; index++) {
        if (stated.getUint32(at + placeOf(index, littleEndian), littleEndian) !== sums[index]) return false;
      }
      return true;
    },
  };
}

const SUMS_BYTES = 32;
/** So few bytes are copied faster by a loop than by a native copy, which needs an object for its source. */
const LOOP_BYTES = 64;

/** The sums by vector instructions, of little-endian words. */
function createVectorSums({ memory, sumsAt, inputAt, inputBytes, add }: SimdSums): Fletcher4 {
  const view = new DataView(memory);
  const input = new Uint8Array(memory, inputAt, inputBytes);

  function copyIn(bytes: DataView, start: number, length: number): void {
    if (length > LOOP_BYTES) input.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length));
    else {
      for (let at = 0; at < length; at += WORD_BYTES)
        view.setInt32(inputAt + at, bytes.getInt32(start + at, true), true);
    }
  }

  return {
    add(bytes, start, end) {
      for (let at = start; at < end; at += inputBytes) {
        const length = Math.min(inputBytes, end - at);
        copyIn(bytes, at, length);
        add(inputAt, inputAt + length);
      }
    },
    write(to, at) {
      for (let done = 0; done < SUMS_BYTES; done += WORD_BYTES)
        to.setInt32(at + done, view.getInt32(sumsAt + done, true), true);
    },
    matches(stated, at) {
      for (let done = 0; done < SUMS_BYTES; done += WORD_BYTES)
        if (stated.getInt32(at + done, true) !== view.getInt32(sumsAt + done, true)) return false;
      return true;
    },
  };
}

/** A stream of fewer bytes is summed in less time than the vector instructions need to be compiled. */
const WORTHWHILE_BYTES = 1024 * 1024;

/** Starts sums of words in one byte order. A long little-endian stream goes on with vector instructions. */
export function createFletcher4(littleEndian: boolean): Fletcher4 {
  /** Has the sums so far. */
  let current = createDoubleSums(littleEndian);
  /** How many bytes are to be added before the vector instructions are tried. Infinity: no more. */
  let untilVectors = littleEndian ? WORTHWHILE_BYTES : Number.POSITIVE_INFINITY;

  function tryVectors(): void {
    untilVectors = Number.POSITIVE_INFINITY;
    const simd = createSimdSums();
    if (!simd) return;
    current.write(new DataView(simd.memory), simd.sumsAt);
    current = createVectorSums(simd);
  }

  return {
    add(bytes, start, end) {
      untilVectors -= end - start;
      if (untilVectors <= 0) tryVectors();
      current.add(bytes, start, end);
    },
    write: (to, at) => current.write(to, at),
    matches: (stated, at) => current.matches(stated, at),
  };
}
