import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFletcher4 } from "../../../../src/protocol/zfs-stream/fletcher4.js";

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
  const fletcher = createFletcher4();
  let from = 0;
  for (const to of [...cuts, bytes.byteLength]) {
    fletcher.add(bytes, from, to, littleEndian);
    from = to;
  }
  const field = new DataView(new ArrayBuffer(40));
  fletcher.write(field, 8, littleEndian);
  expect(fletcher.matches(field, 8, littleEndian)).toBe(true);
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

  test("detects a field that differs in a single bit", () => {
    const view = new DataView(Uint8Array.from({ length: 64 }, (_, index) => index * 37).buffer);
    const fletcher = createFletcher4();
    fletcher.add(view, 0, 64, true);
    const field = new Uint8Array(32);
    fletcher.write(new DataView(field.buffer), 0, true);
    for (let bit = 0; bit < 256; bit++) {
      const flipped = Uint8Array.from(field);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(fletcher.matches(new DataView(flipped.buffer), 0, true)).toBe(false);
    }
  });
});
