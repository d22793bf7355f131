import { describe, expect, test } from "vitest";
import { headerProblem, withCheckedHeader } from "../../../../src/workers/streams/stream-header.js";

const MAGIC = 0x2f5bacbacn;
const REDACTED = 1n << 21n;
const COMPRESSED = 1n << 22n;

/** The first record of a stream with the given features. */
function header(features: bigint, order: "LE" | "BE"): Buffer {
  const record = Buffer.alloc(312);
  record[`writeBigUInt64${order}`](MAGIC, 8);
  record[`writeBigUInt64${order}`]((features << 2n) | 1n, 16);
  return record;
}

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("the header of a stream", () => {
  test.each(["LE", "BE"] as const)("that says redacted is refused, byte order %s", async (order) => {
    expect(headerProblem(header(REDACTED, order))).toContain("redacted");
    const given: Buffer[] = [];
    const reading = async () => {
      for await (const chunk of withCheckedHeader(inChunks(header(REDACTED | COMPRESSED, order), 5))) {
        given.push(chunk);
      }
    };
    await expect(reading()).rejects.toThrow("redacted");
    expect(given).toEqual([]);
  });

  test.each(["LE", "BE"] as const)("with other features passes, byte order %s", (order) => {
    expect(headerProblem(header(COMPRESSED, order))).toBeUndefined();
  });

  test("that is none is for zfs receive to refuse", () => {
    expect(headerProblem(Buffer.alloc(312, 0xff))).toBeUndefined();
    expect(headerProblem(Buffer.alloc(3))).toBeUndefined();
  });

  test.each([1, 7, 23, 24, 25, 400])("leaves every byte as it was, in chunks of %d", async (size) => {
    for (const bytes of [header(COMPRESSED, "LE"), Buffer.alloc(10, 1), Buffer.alloc(0)]) {
      expect(await collect(withCheckedHeader(inChunks(bytes, size)))).toEqual(bytes);
    }
  });
});
