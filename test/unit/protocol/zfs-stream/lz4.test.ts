import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeLz4 } from "../../../../src/protocol/zfs-stream/lz4.js";

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

/** A block with the length that ZFS puts before it, and padding. */
function stored(block: Uint8Array, padding = 0): Uint8Array {
  const bytes = new Uint8Array(4 + block.length + padding);
  new DataView(bytes.buffer).setUint32(0, block.length);
  bytes.set(block, 4);
  return bytes;
}

function decoded(input: Uint8Array, size: number): Uint8Array | undefined {
  const output = new Uint8Array(size).fill(0xee);
  return decodeLz4(input, output) ? output : undefined;
}

/** The bytes of a length behind its token. */
function lengthBytes(length: number): number[] {
  if (length < 15) return [];
  const rest = length - 15;
  return [...Array<number>(Math.floor(rest / 255)).fill(255), rest % 255];
}

/** A plain encoder: at each place the longest match from the last 400 bytes, if any is 4 or longer. */
function encode(data: Uint8Array): Uint8Array {
  const block: number[] = [];
  let literals = 0;
  let at = 0;
  const sequence = (match: number, distance: number) => {
    const extra = match === 0 ? 0 : match - 4;
    block.push((Math.min(literals, 15) << 4) | Math.min(extra, 15), ...lengthBytes(literals));
    block.push(...data.subarray(at - literals, at));
    if (match > 0) block.push(distance & 255, distance >> 8, ...lengthBytes(extra));
    literals = 0;
  };
  while (at < data.length) {
    let best = { match: 0, distance: 0 };
    for (let distance = 1; distance <= Math.min(at, 400); distance++) {
      let match = 0;
      while (at + match < data.length && data[at + match] === data[at + match - distance]) match++;
      if (match > best.match) best = { match, distance };
    }
    if (best.match >= 4 && at + best.match < data.length) {
      sequence(best.match, best.distance);
      at += best.match;
    } else {
      literals++;
      at++;
    }
  }
  sequence(0, 0);
  return Uint8Array.from(block);
}

/** Data in which matches of all kinds are likely. */
const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 40 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((parts) =>
    Uint8Array.from(
      parts.flatMap(
        ([bytes, times]) =>
          Array(times)
            .fill([...bytes])
            .flat() as number[],
      ),
    ),
  );

describe("LZ4 as ZFS stores it", () => {
  test("a volume's embedded block of OpenZFS 2.3.2: text, then zeros by matches that overlap", () => {
    const input = bytesOf(
      `0000005b ff01 68656c6c6f2d656d6265646465640a00 0100 ${"ff".repeat(64)} 18 50 0000000000`,
    );
    const expected = Buffer.alloc(16384);
    expected.write("hello-embedded\n");
    expect(Buffer.from(decoded(input, 16384) ?? []).equals(expected)).toBe(true);
  });

  test("a volume's properties of OpenZFS 2.3.2", () => {
    const input = bytesOf(
      "00000027 21 0300 0100 51 80e557f801 0a00 0f 0200 1e 17 80 3200 47 73697a65 0f00 0f 0200 ff8c 50 0000000000",
    );
    const block = Buffer.from(decoded(input, 512) ?? []);
    expect(block.readBigUInt64LE(0)).toBe(2n ** 63n + 3n);
    expect(block.readBigUInt64LE(64)).toBe(8n * 2n ** 20n);
    expect(block.toString("latin1", 78, 82)).toBe("size");
  });

  test.each([
    ["literals alone", "50 68656c6c6f", "hello"],
    ["a match that repeats one byte", "17 61 0100 10 62", `${"a".repeat(12)}b`],
    [
      "a match that repeats three bytes, and not a whole number of times",
      "34 616263 0300 10 2e",
      "abcabcabcab.",
    ],
    ["a match apart from what it makes", "84 3132333435363738 0800 10 39", "12345678123456789"],
    ["a literal run of exactly 15", `f0 00 ${"61".repeat(15)}`, "a".repeat(15)],
    ["a literal run of exactly 270", `f0 ff 00 ${"61".repeat(270)}`, "a".repeat(270)],
    ["a match of exactly 19", "1f 61 0100 00 10 62", `${"a".repeat(20)}b`],
  ])("%s", (_name, block, text) => {
    expect(Buffer.from(decoded(stored(bytesOf(block), 5), text.length) ?? []).toString()).toBe(text);
  });

  test.each([
    ["nothing", "", 5],
    ["a length cut short", "000000", 5],
    ["a length behind the end", "00000007 50 68656c6c6f", 5],
    ["no block", "00000000 50 68656c6c6f", 5],
    ["more literals than there are", "00000005 50 68656c6c", 5],
    ["more literals than there is room", "00000006 50 68656c6c6f", 4],
    ["fewer bytes than the block has", "00000006 50 68656c6c6f", 6],
    ["a literal length that doesn't end", "00000003 f0 ffff", 5],
    ["a distance of zero", "00000006 14 61 0000 10 62", 10],
    ["a distance to before the start", "00000006 14 61 0200 10 62", 10],
    ["half a distance", "00000003 14 61 01", 9],
    ["a match behind the end of the output", "00000006 14 61 0100 10 62", 8],
    ["a match length that doesn't end", "00000005 1f 61 0100 ff", 600],
    ["a match at the end, where literals must be", "00000004 14 61 0100", 9],
  ])("is refused: %s", (_name, input, size) => {
    expect(decoded(bytesOf(input), size)).toBeUndefined();
  });

  test("any data comes back from an encoder's block", () => {
    fc.assert(
      fc.property(repetitive, fc.nat(600), (data, padding) => {
        const back = decoded(stored(encode(data), padding), data.length);
        expect(back && Buffer.compare(back, data)).toBe(0);
      }),
    );
  });

  test("hostile blocks change nothing around the output and depend on nothing around the input", () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc
        .tuple(repetitive, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }))
        .map(([data, changes]) => {
          const block = encode(data);
          for (const [at, value] of changes) block[at % block.length] = value;
          return block;
        }),
    );
    const run = (block: Uint8Array, size: number, around: number) => {
      const input = new Uint8Array(block.length + 604).fill(around);
      input.set(stored(block), 300);
      const arena = new Uint8Array(size + 600).fill(0xee);
      const ok = decodeLz4(input.subarray(300, 304 + block.length), arena.subarray(300, 300 + size));
      expect(arena.subarray(0, 300).every((byte) => byte === 0xee)).toBe(true);
      expect(arena.subarray(300 + size).every((byte) => byte === 0xee)).toBe(true);
      return { ok, output: arena.slice(300, 300 + size) };
    };
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 1500 }), (block, size) => {
        const [first, second] = [run(block, size, 0x00), run(block, size, 0xff)];
        expect(first.ok).toBe(second.ok);
        expect(Buffer.compare(first.output, second.output)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});
