import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFletcher4 } from "../../../../src/protocol/zfs-stream/fletcher4.js";
import { createSimdSums } from "../../../../src/protocol/zfs-stream/fletcher4-simd.js";

const MIB = 2 ** 20;
const MASK = 2n ** 64n - 1n;

/** The sums by their definition. */
function reference(bytes: DataView, littleEndian: boolean): bigint[] {
  let [a, b, c, d] = [0n, 0n, 0n, 0n];
  for (let at = 0; at < bytes.byteLength; at += 4) {
    a = (a + BigInt(bytes.getUint32(at, littleEndian))) & MASK;
    b = (b + a) & MASK;
    c = (c + b) & MASK;
    d = (d + c) & MASK;
  }
  return [a, b, c, d];
}

function sumsOf(bytes: DataView, cuts: readonly number[], littleEndian: boolean): bigint[] {
  const fletcher = createFletcher4(littleEndian);
  let from = 0;
  for (const to of [...cuts, bytes.byteLength]) {
    fletcher.add(bytes, from, to);
    from = to;
  }
  const field = new DataView(new ArrayBuffer(40));
  fletcher.write(field, 8);
  expect(fletcher.matches(field, 8)).toBe(true);
  return [8, 16, 24, 32].map((at) => field.getBigUint64(at, littleEndian));
}

describe("fletcher-4", () => {
  test("of any words, taken in any parts, is what its definition says", () => {
    const words = fc.uint8Array({ minLength: 0, maxLength: 2048 });
    fc.assert(
      fc.property(words, fc.array(fc.nat(511)), fc.boolean(), fc.nat(3), (bytes, places, order, shift) => {
        const length = Math.max(0, (bytes.length - shift) & ~3);
        const view = new DataView(bytes.buffer, bytes.byteOffset + Math.min(shift, bytes.length), length);
        const cuts = places.map((place) => Math.min(place * 4, length)).sort((a, b) => a - b);
        expect(sumsOf(view, cuts, order)).toEqual(reference(view, order));
      }),
    );
  });

  test("is exact where every word is the largest and all sums overflow", () => {
    const view = new DataView(new Uint8Array(256 * 1024).fill(255).buffer);
    expect(sumsOf(view, [], true)).toEqual(reference(view, true));
  });

  // Long enough for the vector instructions; they take up to 64 KiB at once, four words in a step.
  test.each([
    ["whole", []],
    [
      "in parts that are no whole vectors",
      [4, 12, 280, 312, 312 + 16_384, MIB - 4, MIB, MIB + 20, MIB + 70_000],
    ],
    ["in parts of 64 KiB and a word", Array.from({ length: 20 }, (_, index) => index * 65_540)],
  ])("of a long stream, taken %s, is what its definition says", (_what, cuts) => {
    const bytes = randomBytes(MIB + 200_000);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    expect(sumsOf(view, cuts, true)).toEqual(reference(view, true));
    expect(sumsOf(view, cuts, false)).toEqual(reference(view, false));
  });

  test("is exact by vector instructions where every word is the largest", () => {
    const view = new DataView(new Uint8Array(3 * MIB).fill(255).buffer);
    expect(sumsOf(view, [MIB + 4], true)).toEqual(reference(view, true));
    expect(createSimdSums()).toBeDefined();
  });

  test("goes on without vector instructions where there are none", () => {
    const whole: unknown = Reflect.get(globalThis, "WebAssembly");
    const bytes = randomBytes(2 * MIB);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    try {
      Reflect.set(globalThis, "WebAssembly", undefined);
      expect(createSimdSums()).toBeUndefined();
      expect(sumsOf(view, [], true)).toEqual(reference(view, true));
    } finally {
      Reflect.set(globalThis, "WebAssembly", whole);
    }
  });

  test("detects a field that differs in a single bit", () => {
    const view = new DataView(Uint8Array.from({ length: 64 }, (_, index) => index * 37).buffer);
    const fletcher = createFletcher4(true);
    fletcher.add(view, 0, 64);
    const field = new Uint8Array(32);
    fletcher.write(new DataView(field.buffer), 0);
    for (let bit = 0; bit < 256; bit++) {
      const flipped = Uint8Array.from(field);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(fletcher.matches(new DataView(flipped.buffer), 0)).toBe(false);
    }
  });
});
