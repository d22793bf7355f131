import { assembleModule } from "./wasm-text.js";

/** Fletcher-4 of little-endian words, by the vector instructions of WebAssembly. */
export interface SimdSums {
  /** It has the sums and the bytes to add. */
  readonly memory: ArrayBuffer;
  /** Where the sums are: a, b, c and d, 8 bytes each, little-endian as in a stream. They begin with zeros. */
  readonly sumsAt: number;
  /** Where there is room for bytes to add, and how much: so little that the third power of its words stays far below 2^64. */
  readonly inputAt: number;
  readonly inputBytes: number;
  /** Adds the bytes of the memory from `at` to `end`, a whole number of words, at most `inputBytes`. */
  add(at: number, end: number): void;
}

const PAGE_BYTES = 64 * 1024;
const PAGES = 2;

const SUMS = ["a", "b", "c", "d"] as const;
type Sum = (typeof SUMS)[number];
type Factors = readonly [a: number, b: number, c: number, d: number];

/**
 * Each of four lanes takes every fourth word, and sums these as if there were no others. A word with k
 * words of lane j from it to the end has p = 4k - j words of all lanes from it to the end. Its share in a,
 * b, c and d is the word times 1, p, p (p + 1) / 2 and p (p + 1) (p + 2) / 6. In its lane it is the word
 * times the same of k. So these are the first as sums of the second.
 */
const LANES: readonly Readonly<Record<Sum, Factors>>[] = [
  { a: [1, 0, 0, 0], b: [0, 4, 0, 0], c: [0, -6, 16, 0], d: [0, 4, -48, 64] },
  { a: [1, 0, 0, 0], b: [-1, 4, 0, 0], c: [0, -10, 16, 0], d: [0, 10, -64, 64] },
  { a: [1, 0, 0, 0], b: [-2, 4, 0, 0], c: [1, -14, 16, 0], d: [0, 20, -80, 64] },
  { a: [1, 0, 0, 0], b: [-3, 4, 0, 0], c: [3, -18, 16, 0], d: [-1, 34, -96, 64] },
];

/** One step of the two lanes in the vectors a0 to d0 or a1 to d1: a += word, b += a, c += b, d += c. */
const stepLanes = (half: "low" | "high", pair: 0 | 1) => `
  local.get words i64x2.extend_${half}_i32x4_u
  local.get a${pair} i64x2.add local.tee a${pair}
  local.get b${pair} i64x2.add local.tee b${pair}
  local.get c${pair} i64x2.add local.tee c${pair}
  local.get d${pair} i64x2.add local.set d${pair}`;

/** Adds the share of all lanes in a sum to the number on the stack. */
const addLanes = (to: Sum) =>
  LANES.flatMap((factors, lane) =>
    SUMS.map((sum, index) => {
      const factor = factors[to][index] ?? 0;
      const share = `local.get ${sum}${lane >> 1} i64x2.extract_lane ${lane & 1} i64.const ${factor} i64.mul`;
      return factor === 0 ? "" : `${share} i64.add\n`;
    }),
  ).join("");

/** What n words add to the sums before them, beside their own: they add the old a to b n times, and so on. */
const ADD_LANES = `
  local.get d
  local.get c local.get n i64.mul i64.add
  local.get b local.get n2 i64.mul i64.add
  local.get a local.get n3 i64.mul i64.add ${addLanes("d")} local.set d
  local.get c
  local.get b local.get n i64.mul i64.add
  local.get a local.get n2 i64.mul i64.add ${addLanes("c")} local.set c
  local.get b
  local.get a local.get n i64.mul i64.add ${addLanes("b")} local.set b
  local.get a ${addLanes("a")} local.set a`;

const BODY = `
  ${SUMS.map((sum, index) => `i32.const ${8 * index} i64.load 0 local.set ${sum}`).join("\n")}

  local.get at local.get end local.get at i32.sub i32.const -16 i32.and i32.add local.set vectorsEnd
  local.get vectorsEnd local.get at i32.sub i32.const 2 i32.shr_u i64.extend_i32_u local.set n
  local.get n local.get n i64.const 1 i64.add i64.mul i64.const 2 i64.div_u local.set n2
  local.get n2 local.get n i64.const 2 i64.add i64.mul i64.const 3 i64.div_u local.set n3

  block
    local.get at local.get vectorsEnd i32.ge_u br_if 0
    loop
      local.get at v128.load 0 local.set words ${stepLanes("low", 0)} ${stepLanes("high", 1)}
      local.get at i32.const 16 i32.add local.tee at
      local.get vectorsEnd i32.lt_u br_if 0
    end
    ${ADD_LANES}
  end

  block
    local.get at local.get end i32.ge_u br_if 0
    loop
      local.get at i64.load32_u 0
      local.get a i64.add local.tee a
      local.get b i64.add local.tee b
      local.get c i64.add local.tee c
      local.get d i64.add local.set d
      local.get at i32.const 4 i32.add local.tee at
      local.get end i32.lt_u br_if 0
    end
  end

  ${SUMS.map((sum, index) => `i32.const ${8 * index} local.get ${sum} i64.store 0`).join("\n")}`;

const vectors = {
  a0: "v128",
  b0: "v128",
  c0: "v128",
  d0: "v128",
  a1: "v128",
  b1: "v128",
  c1: "v128",
} as const;
const numbers = { a: "i64", b: "i64", c: "i64", d: "i64", n: "i64", n2: "i64", n3: "i64" } as const;

/** What is used of it, of a module as ours. The types of Node 20 leave it out. */
declare const WebAssembly: {
  readonly validate: (code: Uint8Array) => boolean;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer };
      readonly add: (at: number, end: number) => void;
    };
  };
};

/** The module, to be compiled. */
function simdModule(): Uint8Array {
  const locals = { ...vectors, d1: "v128", words: "v128", ...numbers, vectorsEnd: "i32" } as const;
  return assembleModule({ name: "add", params: { at: "i32", end: "i32" }, locals, body: BODY }, PAGES);
}

/**
 * Undefined: this machine or this Node has no vector instructions in WebAssembly, or not the address space
 * that its memory reserves, several GiB.
 */
export function createSimdSums(): SimdSums | undefined {
  const code = simdModule();
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(code)) return undefined;
  try {
    const { memory, add } = new WebAssembly.Instance(new WebAssembly.Module(code)).exports;
    return { memory: memory.buffer, sumsAt: 0, inputAt: PAGE_BYTES, inputBytes: PAGE_BYTES, add };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
