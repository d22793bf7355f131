import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { framingOf } from "../../../../src/workers/streams/body-framing.js";

/** Takes a body that comes in these pieces. */
function take(headers: Record<string, string>, pieces: readonly Buffer[]) {
  const framing = framingOf(headers);
  const taken: Buffer[] = [];
  let isWhole = false;
  for (const piece of pieces) {
    if (!isWhole) isWhole = framing.take(piece, (part) => taken.push(part));
  }
  return { isWhole, body: Buffer.concat(taken), endsWithConnection: framing.endsWithConnection };
}

/** Cuts bytes at these places, each in a part of the whole. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [
    0,
    ...places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b),
    bytes.length,
  ];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const chunk = (bytes: Buffer, extension = "") =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}${extension}\r\n`), bytes, Buffer.from("\r\n")]);
const CHUNKED = { "transfer-encoding": "chunked" };
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 });

describe("a body", () => {
  test("in chunks is the same, wherever it is cut on its way", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 8 }), places, (sizes, where) => {
        const chunks = sizes.map((size) => randomBytes(size));
        const end = Buffer.from("0\r\nDigest: none\r\n\r\nwhat is behind it");
        const wire = Buffer.concat([...chunks.map((each, at) => chunk(each, at === 1 ? ";a=b" : "")), end]);
        expect(take(CHUNKED, cut(wire, where))).toEqual({
          ...{ isWhole: true, body: Buffer.concat(chunks), endsWithConnection: false },
        });
      }),
    );
  });

  test("with a length ends there, wherever it is cut on its way", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000 }), places, (length, where) => {
        const bytes = randomBytes(length);
        const wire = Buffer.concat([bytes, Buffer.from("more")]);
        const taken = take({ "content-length": String(length) }, cut(wire, where));
        expect(taken).toEqual({ isWhole: true, body: bytes, endsWithConnection: false });
      }),
    );
  });

  test.each([{}, { "transfer-encoding": "gzip" }])(
    "with the headers %j ends with its connection",
    (headers) => {
      const bytes = randomBytes(100);
      expect(take(headers, [bytes])).toEqual({ isWhole: false, body: bytes, endsWithConnection: true });
    },
  );

  test("in chunks is not whole before the line behind its last one", () => {
    const wire = Buffer.concat([chunk(Buffer.from("abc")), Buffer.from("0\r\n\r\n")]);
    for (let end = 0; end < wire.length; end++) {
      expect(take(CHUNKED, [wire.subarray(0, end)]).isWhole).toBe(false);
    }
  });

  test.each([
    ["no size", "x\r\n"],
    ["an empty size", "\r\n"],
    ["a negative size", "-1\r\n"],
    ["a size that is too large", `${"f".repeat(13)}\r\n`],
    ["a line without CR", "3\nabc\r\n"],
    ["more bytes than its size", "3\r\nabcd\r\n"],
    ["a line without an end", "1;".padEnd(20_000, "a")],
    ["lines without an end", `0\r\n${"a: b\r\n".repeat(2_000)}`],
  ])("in chunks is refused with %s", (_what, wire) => {
    expect(() => take(CHUNKED, [Buffer.from(wire)])).toThrow("a body in chunks");
  });
});
