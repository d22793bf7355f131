import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { StreamAllowance } from "../../../../src/protocol/storage/send-terms.js";
import { createStreamGuard } from "../../../../src/protocol/zfs-stream/stream-guard.js";
import {
  FEATURE_BITS,
  type Feature,
  HEADER_COMPOUND,
  HEADER_SUBSTREAM,
  MAGIC,
  OBJSET_FILESYSTEM,
  OBJSET_VOLUME,
  PLACE,
  RECORD,
} from "../../../../src/protocol/zfs-stream/stream-records.js";
import { createVolumeWriter } from "../../../../src/protocol/zfs-stream/volume-writer.js";

type Order = "LE" | "BE";

interface Begin {
  readonly order?: Order;
  readonly kind?: number;
  readonly features?: readonly Feature[];
  readonly objset?: number;
  readonly name?: string;
  readonly guid?: bigint;
  readonly base?: bigint;
  /** The list that follows the head of a package. */
  readonly list?: Buffer;
}

function begin(options: Begin = {}): Buffer {
  const { order = "LE", kind = HEADER_SUBSTREAM, features = [], objset = OBJSET_VOLUME } = options;
  const record = Buffer.alloc(312);
  const flags = features.reduce((sum, feature) => sum | (1n << BigInt(FEATURE_BITS[feature])), 0n);
  record[`writeUInt32${order}`](options.list?.length ?? 0, PLACE.payloadBytes);
  record[`writeBigUInt64${order}`](MAGIC, PLACE.beginMagic);
  record[`writeBigUInt64${order}`]((flags << 2n) | BigInt(kind), PLACE.beginVersion);
  record[`writeUInt32${order}`](objset, PLACE.beginObjsetType);
  record[`writeBigUInt64${order}`](options.guid ?? 7n, PLACE.beginToGuid);
  record[`writeBigUInt64${order}`](options.base ?? 0n, PLACE.beginFromGuid);
  record.write(options.name ?? "tank/v@s", PLACE.beginToName);
  return Buffer.concat([record, options.list ?? Buffer.alloc(0)]);
}

function write(bytes: number, order: Order = "LE"): Buffer {
  const record = Buffer.alloc(312);
  record[`writeUInt32${order}`](RECORD.WRITE, PLACE.type);
  record[`writeBigUInt64${order}`](BigInt(bytes), PLACE.writeLogicalBytes);
  return Buffer.concat([record, randomBytes(bytes)]);
}

function record(type: number, order: Order = "LE"): Buffer {
  const header = Buffer.alloc(312);
  header[`writeUInt32${order}`](type, PLACE.type);
  return header;
}

const end = (order?: Order) => record(RECORD.END, order);
const packageIn = (order: Order, ...streams: Buffer[]) =>
  Buffer.concat([
    begin({ order, kind: HEADER_COMPOUND, objset: 0, list: randomBytes(1_000) }),
    end(order),
    ...streams,
    end(order),
  ]);
const packageOf = (...streams: Buffer[]) => packageIn("LE", ...streams);

/** What the guard passes on of a stream that comes in chunks. */
function passed(stream: Buffer, chunkBytes = 65_536, allows?: StreamAllowance): Buffer {
  const guard = createStreamGuard(allows);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += chunkBytes) {
    parts.push(...guard.push(stream.subarray(at, at + chunkBytes)));
  }
  return Buffer.concat([...parts, guard.finish()]);
}

/** @returns what the guard throws; undefined if it passes the whole stream on as it was. */
function problemOf(stream: Buffer, chunkBytes?: number, allows?: StreamAllowance): string | undefined {
  try {
    if (!passed(stream, chunkBytes, allows).equals(stream)) return "the stream was changed";
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  return undefined;
}

const whole = Buffer.concat([begin(), write(4_096), write(512), end()]);

describe("a stream passes", () => {
  test.each([1, 7, 311, 312, 313, 4_408, 100_000])("in chunks of %i", (chunkBytes) => {
    expect(problemOf(whole, chunkBytes)).toBeUndefined();
  });

  test("of the other byte order", () => {
    const stream = Buffer.concat([begin({ order: "BE" }), write(8_192, "BE"), end("BE")]);
    expect(problemOf(stream)).toBeUndefined();
  });

  test("with features that make no difference", () => {
    const features = ["large_blocks", "compressed", "lz4", "embed_data", "zstd", "large_dnode"] as const;
    expect(problemOf(begin({ features }))).toBeUndefined();
  });

  test.each([1, 100, 311, 312, 313, 1_312, 4_408, 100_000])(
    "out of a package, without its list, in chunks of %i",
    (chunkBytes) => {
      for (const order of ["LE", "BE"] as const) {
        const inner = Buffer.concat([begin({ order }), write(4_096, order), write(512, order), end(order)]);
        expect(passed(packageIn(order, inner), chunkBytes).equals(inner)).toBe(true);
      }
    },
  );

  test("that is none, which the receiver refuses", () => {
    for (const bytes of [Buffer.alloc(312, 0xff), Buffer.alloc(3), randomBytes(100_000)]) {
      expect(problemOf(bytes, 1_000)).toBeUndefined();
    }
  });

  test("as our own writer makes it, with data that looks like headers", () => {
    const writer = createVolumeWriter({
      toName: "tank/v@s",
      toGuid: 1n,
      fromGuid: 0n,
      creationTime: 0n,
      volsize: 1_048_576n,
      volblocksize: 16_384,
    });
    const trap = Buffer.alloc(16_384);
    for (let at = 0; at + 312 <= trap.length; at += 312) begin({ features: ["redacted"] }).copy(trap, at);
    const stream = Buffer.concat([
      writer.begin(),
      writer.write(0, trap),
      writer.free(32_768, 16_384),
      writer.end(),
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40_000 }), (chunkBytes) => {
        expect(problemOf(stream, chunkBytes)).toBeUndefined();
      }),
    );
  });
});

describe("a stream onto an origin", () => {
  const name = "tank/images/golden@v1" as SnapshotName;
  const allows: StreamAllowance = { origin: { name, guid: String(2n ** 64n - 3n) } };
  const problem = (base: bigint, order: Order = "LE") =>
    problemOf(Buffer.concat([begin({ base, order }), end(order)]), 100, allows);

  test("passes where it builds on that, in a package too", () => {
    for (const order of ["LE", "BE"] as const) {
      expect(problem(2n ** 64n - 3n, order)).toBeUndefined();
      const inner = Buffer.concat([begin({ order, base: 2n ** 64n - 3n }), end(order)]);
      expect(passed(packageIn(order, inner), 100, allows).equals(inner)).toBe(true);
    }
  });

  test("is refused where it builds on another, or on none, and says what to do", () => {
    expect(problem(99n)).toMatch(
      `it builds on the snapshot with the guid 99, and its origin ${name} has the guid ${2n ** 64n - 3n}: another`,
    );
    expect(problem(0n)).toMatch(/it is whole and builds on no other: it must be asked for without an origin/);
    // Without an origin the image that has that snapshot must be named.
    expect(problemOf(begin({ base: 99n }))).toMatch(/the guid 99: the image that has that must be named/);
  });
});

describe("a stream is refused", () => {
  const cases: readonly [string, Begin, RegExp][] = [
    ["redacted", { features: ["redacted", "compressed"] }, /redacted/],
    ["raw", { features: ["raw"] }, /raw, encrypted/],
    ["resumed", { features: ["resuming"] }, /interrupted transfer/],
    ["deduplicated", { features: ["dedup"] }, /deduplicated/],
    ["incremental", { base: 99n }, /incremental/],
    ["of a filesystem", { objset: OBJSET_FILESYSTEM }, /filesystem/],
    ["of an unknown kind of dataset", { objset: 9 }, /object set of type 9/],
  ];

  test.each(cases)("that is %s", (_what, options, reason) => {
    for (const order of ["LE", "BE"] as const) {
      expect(problemOf(begin({ ...options, order }), 5)).toMatch(reason);
      const inPackage = packageOf(Buffer.concat([begin({ ...options, order }), end(order)]));
      expect(problemOf(inPackage)).toMatch(reason);
    }
  });

  test("whose package itself is redacted or raw", () => {
    for (const feature of ["redacted", "raw"] as const) {
      expect(problemOf(begin({ kind: HEADER_COMPOUND, objset: 0, features: [feature] }))).toMatch(
        /StreamFailure/,
      );
    }
  });

  test("that has several volumes or snapshots", () => {
    for (const chunkBytes of [100, 100_000]) {
      const other = Buffer.concat([begin({ guid: 2n, name: "tank/v2@s" }), end()]);
      expect(problemOf(packageOf(whole, other), chunkBytes)).toMatch(/several volumes/);
      expect(problemOf(Buffer.concat([whole, other]), chunkBytes)).toMatch(/several volumes/);
      const later = Buffer.concat([begin({ guid: 2n, base: 7n, name: "tank/v@later" }), end()]);
      expect(problemOf(packageOf(whole, later), chunkBytes)).toMatch(/several snapshots/);
    }
  });

  test("that has a package inside of a stream", () => {
    expect(problemOf(Buffer.concat([whole, packageOf(whole)]))).toMatch(/package inside/);
  });

  test("that has an unknown record, or a BEGIN without its magic number", () => {
    expect(problemOf(Buffer.concat([begin(), record(11)]))).toMatch(/unknown type 11/);
    expect(problemOf(Buffer.concat([begin(), record(RECORD.BEGIN)]))).toMatch(/magic number/);
  });

  test.each(["WRITE_BYREF", "OBJECT_RANGE", "REDACT"] as const)("that has a %s record", (name) => {
    for (const chunkBytes of [100, 100_000]) {
      const stream = Buffer.concat([begin(), write(512), record(RECORD[name])]);
      expect(problemOf(stream, chunkBytes)).toMatch(`a ${name} record that its kind of stream does not have`);
    }
  });

  test("that has an object of a raw stream, a list without a package, or a header of another type", () => {
    const object = record(RECORD.OBJECT);
    object.writeUInt32LE(64, PLACE.objectRawBonusBytes);
    expect(problemOf(Buffer.concat([begin(), object]))).toMatch(/OBJECT record that/);
    expect(problemOf(begin({ list: randomBytes(64) }))).toMatch(/carries a list/);
    expect(problemOf(packageOf(begin({ list: randomBytes(64) })))).toMatch(/carries a list/);
    for (const kind of [0, 3]) expect(problemOf(begin({ kind }))).toMatch(`header of type ${kind}`);
  });

  test("that has a block of impossible size", () => {
    const header = write(0);
    header.writeBigUInt64LE(2n ** 60n, PLACE.writeLogicalBytes);
    expect(problemOf(Buffer.concat([begin(), header]))).toMatch(/WRITE record of/);
    const list = begin({ kind: HEADER_COMPOUND });
    list.writeUInt32LE(0xffff_fff0, PLACE.payloadBytes);
    expect(problemOf(list)).toMatch(/a list of/);
  });

  test("before the chunk with the end of the bad header", () => {
    const guard = createStreamGuard();
    const stream = packageOf(whole, begin({ features: ["redacted"], guid: 8n }));
    const badEnd = stream.length - 312; // the last END follows it
    const before = Buffer.concat(guard.push(stream.subarray(0, badEnd - 1)));
    expect(before.equals(whole)).toBe(true);
    expect(() => guard.push(stream.subarray(badEnd - 1))).toThrow(/redacted/);
  });
});
