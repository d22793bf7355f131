import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bytes,
  bytesFromMib,
  MAX_UINT64,
  MAX_VOLUME_BYTES,
  mib,
  mibFromBytes,
} from "../../../../src/protocol/storage/units.js";

test("any 64-bit number of MiB survives the way to bytes and back", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: MAX_UINT64 }), (size) => {
      expect(mibFromBytes(bytesFromMib(mib(size)))).toBe(size);
    }),
  );
});

test("bytes that are no whole MiB are rounded down", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: MAX_UINT64 }),
      fc.integer({ min: 0, max: 1024 * 1024 - 1 }),
      (whole, rest) => {
        expect(mibFromBytes(bytes(whole * 1_048_576n + BigInt(rest)))).toBe(whole);
      },
    ),
  );
});

test("the bounds are those of C's uint64_t and int64_t", () => {
  expect(MAX_UINT64).toBe(18_446_744_073_709_551_615n);
  expect(MAX_VOLUME_BYTES).toBe(9_223_372_036_854_775_807n);
});
