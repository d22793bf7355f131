import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeWire, parseWire } from "../../../src/client/wire-json.js";

test("an integer that a number can't hold is a bigint, and keeps its digits both ways", () => {
  const text = '{"a":18446744073709551615,"b":[-9223372036854775808,9007199254740991],"c":1.5,"d":1e300}';
  const value = { a: 2n ** 64n - 1n, b: [-(2n ** 63n), 9007199254740991], c: 1.5, d: 1e300 };
  expect(parseWire(text)).toEqual(value);
  expect(encodeWire({ a: value.a, b: value.b })).toBe(text.replace(/,"c".*/, "}"));
});

test("digits in strings and in numbers with a fraction are left alone", () => {
  const value = {
    "12345678901234567890": ['"12345678901234567890', "\\", "integer:1", "_integer:12345678901234567890"],
  };
  expect(parseWire(JSON.stringify(value))).toEqual(value);
  const numbers = [
    "12345678901234567890.5",
    "0.12345678901234567890",
    "12345678901234567890e2",
    "-1e-12345678901234567",
  ];
  expect(parseWire(`[${numbers.join(",")}]`)).toEqual(numbers.map(Number));
});

test("members that are undefined are left out, as JSON.stringify does", () => {
  expect(encodeWire({ a: undefined, b: [undefined, null], c: '\u2028"' })).toBe(
    '{"b":[null,null],"c":"\u2028\\""}',
  );
});

/** A value whose bigints are numbers, as JSON.parse rounds them. */
function rounded(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, rounded(member)]));
}

test("what JSON.stringify writes is read back, and what encodeWire writes of it is the same", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const value: unknown = JSON.parse(text);
      expect(encodeWire(value)).toBe(JSON.stringify(value));
      expect(JSON.stringify(rounded(parseWire(text)))).toBe(JSON.stringify(value));
    }),
  );
});

test("long strings with many quotes are read", () => {
  const value = [`${'\\"'.repeat(2_000_000)}1234567890123456`, "x".repeat(4_000_000)];
  expect(parseWire(JSON.stringify(value))).toEqual(value);
});
