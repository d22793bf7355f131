import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StreamFailure, type StreamFailureKind } from "../../../../src/protocol/zfs-stream/stream-failure.js";
import { createVolumeReader, type VolumeEvent } from "../../../../src/protocol/zfs-stream/volume-reader.js";
import { createVolumeWriter } from "../../../../src/protocol/zfs-stream/volume-writer.js";

const MASK = 2n ** 64n - 1n;
const RECORD_BYTES = 312;
const CHECKSUM_AT = 280;
const [BEGIN, OBJECT, FREEOBJECTS, WRITE, FREE, END] = [0, 1, 2, 3, 4, 5] as const;
const [BYREF, SPILL, EMBEDDED, RANGE, REDACT] = [6, 7, 8, 9, 10] as const;
const MAGIC = 0x2f5bacbacn;
const MIB = 2 ** 20;

// --- a separate encoder: any record with any fields, in either byte order, rightly summed ---

/** A field: its place in the record, its size in bytes, its value. */
type Field = readonly [at: number, bytes: 1 | 4 | 8, value: bigint | number];

interface Rec {
  readonly type: number;
  readonly fields: readonly Field[];
  readonly payload?: Uint8Array;
}

function putField(view: DataView, [at, bytes, value]: Field, little: boolean): void {
  if (bytes === 8) view.setBigUint64(at, BigInt(value), little);
  else if (bytes === 4) view.setUint32(at, Number(value), little);
  else view.setUint8(at, Number(value));
}

function encode(records: readonly Rec[], little = true): Uint8Array {
  const sums: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
  const add = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      sums[0] = (sums[0] + BigInt(view.getUint32(at, little))) & MASK;
      sums[1] = (sums[1] + sums[0]) & MASK;
      sums[2] = (sums[2] + sums[1]) & MASK;
      sums[3] = (sums[3] + sums[2]) & MASK;
    }
  };
  const parts: Uint8Array[] = [];
  for (const { type, fields, payload = new Uint8Array(0) } of records) {
    const header = new Uint8Array(RECORD_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, type, little);
    const putSums = (at: number) => {
      for (const [index, sum] of sums.entries()) view.setBigUint64(at + 8 * index, sum, little);
    };
    if (type === END) putSums(8);
    for (const field of fields) putField(view, field, little);
    add(header.subarray(0, CHECKSUM_AT));
    if (type !== BEGIN) putSums(CHECKSUM_AT);
    add(header.subarray(CHECKSUM_AT));
    add(payload);
    parts.push(header, payload);
  }
  return Uint8Array.from(Buffer.concat(parts));
}

const begin = (...fields: Field[]): Rec => ({
  type: BEGIN,
  fields: [[8, 8, MAGIC], [16, 8, 1], [24, 8, 1_700_000_000], [32, 4, 3], [40, 8, 77n], ...fields],
});
const withFeature = (bit: number) => begin([16, 8, (1n << BigInt(bit + 2)) | 1n]);
const object = (id: number, type: number, blockBytes: number, ...fields: Field[]): Rec => ({
  type: OBJECT,
  fields: [[8, 8, id], [16, 4, type], [24, 4, blockBytes], [34, 1, 1], ...fields],
});
const write = (id: number, offset: bigint | number, payload: Uint8Array, ...fields: Field[]): Rec => ({
  type: WRITE,
  fields: [[8, 8, id], [16, 4, id === 1 ? 23 : 24], [24, 8, offset], [32, 8, payload.length], ...fields],
  payload,
});
/** A WRITE of a stored form of 512 bytes. */
const compressed = (code: number, payload: Uint8Array): Rec =>
  write(1, 0, payload, [32, 8, 512], [50, 1, code], [96, 8, payload.length]);
const free = (id: number, offset: bigint | number, length: bigint | number): Rec => ({
  type: FREE,
  fields: [
    [8, 8, id],
    [16, 8, offset],
    [24, 8, length],
  ],
});
const end: Rec = { type: END, fields: [] };

function properties(volsize: bigint | number, little = true, name = "size"): Uint8Array {
  const block = new Uint8Array(512);
  const view = new DataView(block.buffer);
  view.setBigUint64(0, 2n ** 63n + 3n, little);
  view.setBigUint64(64, BigInt(volsize), little);
  block.set(Buffer.from(name), 78);
  return block;
}

/** A whole stream of a volume of 4 KiB in blocks of 512, with `middle` among the data. */
const around = (...middle: Rec[]): Rec[] => [
  begin(),
  object(1, 23, 512),
  ...middle,
  object(2, 24, 512),
  write(2, 0, properties(4096)),
  end,
];

// --- reading ---------------------------------------------------------------------------------

interface Read {
  readonly events: readonly VolumeEvent[];
  readonly counts: Readonly<Record<string, number>>;
}

/** Reads a stream in chunks of the sizes given, over and over; each event's data is copied when it comes. */
function read(stream: Uint8Array, sizes: readonly number[] = [stream.length]): Read {
  const reader = createVolumeReader();
  const events: VolumeEvent[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
    // A separate buffer that is overwritten afterwards: nothing may be read from it later.
    const chunk = stream.slice(at, at + size);
    for (const event of reader.push(chunk)) {
      events.push(event.kind === "write" ? { ...event, data: Uint8Array.from(event.data) } : event);
    }
    chunk.fill(0xdd);
    at += size;
    expect(reader.offset).toBe(Math.min(at, stream.length));
  }
  reader.finish();
  return { events, counts: reader.recordCounts };
}

function problemOf(stream: Uint8Array, sizes?: readonly number[]): StreamFailure {
  try {
    read(stream, sizes);
  } catch (error) {
    if (error instanceof StreamFailure) return error;
    throw error;
  }
  throw new Error("the stream was taken");
}

/** The volume after a stream. */
function applied(events: readonly VolumeEvent[], before: Uint8Array): Uint8Array {
  const size = events.find((event) => event.kind === "size");
  const volume = new Uint8Array(size ? Number(size.volsize) : before.length);
  volume.set(before.subarray(0, volume.length));
  for (const event of events) {
    if (event.kind === "free") volume.fill(0, event.offset, event.offset + event.length);
    if (event.kind !== "write") continue;
    const room = Math.max(0, volume.length - event.offset);
    volume.set(event.data.subarray(0, room), event.offset);
  }
  return volume;
}

const options = (volsize: number, volblocksize: number) => ({
  toName: "tank/guests/1/disk@s",
  toGuid: 0xfedc_ba98_7654_3210n,
  fromGuid: 0n,
  creationTime: 1_795_523_716n,
  volsize: BigInt(volsize),
  volblocksize,
});

/** A stream of some hundred bytes more than its records: a block of data, a hole, a size. */
function smallStream(): Uint8Array {
  const writer = createVolumeWriter(options(1536, 512));
  const data = Uint8Array.from({ length: 512 }, (_, index) => (index * 7) & 255);
  return Uint8Array.from(
    Buffer.concat([writer.begin(), writer.write(0, data), writer.free(512, 1024), writer.end()]),
  );
}

describe("a stream that was written", () => {
  /** A volume in runs of blocks: random bytes, or a hole. */
  const volume = fc.record({
    blockBytes: fc.constantFrom(512, 1024, 4096),
    runs: fc.array(
      fc.record({ blocks: fc.integer({ min: 1, max: 4 }), isHole: fc.boolean(), seed: fc.nat(255) }),
      { minLength: 1, maxLength: 8 },
    ),
    shorter: fc.nat(511),
    chunks: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 6 }),
    before: fc.nat(255),
  });

  test("gives the same bytes back, whatever its chunks and the volume that it changes", () => {
    fc.assert(
      fc.property(volume, ({ blockBytes, runs, shorter, chunks, before }) => {
        const blocks = runs.reduce((sum, run) => sum + run.blocks, 0);
        const bytes = new Uint8Array(blocks * blockBytes - shorter);
        const writer = createVolumeWriter({ ...options(bytes.length, blockBytes), fromGuid: 5n });
        const parts = [writer.begin()];
        let at = 0;
        for (const run of runs) {
          const to = Math.min(bytes.length, at + run.blocks * blockBytes);
          if (run.isHole) {
            parts.push(writer.free(at, to - at));
          } else {
            for (let place = at; place < to; place++) bytes[place] = (place * 31 + run.seed) & 255;
            parts.push(writer.write(at, bytes.subarray(at, to)));
          }
          at = to;
        }
        parts.push(writer.end());
        const { events } = read(Uint8Array.from(Buffer.concat(parts)), chunks);
        const old = new Uint8Array(bytes.length + 4096).fill(before);
        expect(Buffer.compare(applied(events, old), bytes)).toBe(0);
      }),
    );
  });

  test("says what it is of", () => {
    const { events, counts } = read(smallStream(), [100]);
    expect(events[0]).toEqual({
      kind: "begin",
      begin: {
        toName: "tank/guests/1/disk@s",
        toGuid: 0xfedc_ba98_7654_3210n,
        fromGuid: 0n,
        creationTime: 1_795_523_716n,
        isClone: false,
        features: [],
        byteOrder: "little",
        listBytes: 0,
      },
      resume: undefined,
    });
    expect(events[1]).toEqual({ kind: "blocksize", volblocksize: 512 });
    expect(events.map(({ kind }) => kind).slice(2)).toEqual(["free", "write", "free", "size", "end"]);
    expect(events[2]).toEqual({ kind: "free", offset: 1536, length: Number.MAX_SAFE_INTEGER - 1536 });
    expect(events[5]).toEqual({ kind: "size", volsize: 1536n });
    expect(counts).toEqual({ BEGIN: 1, OBJECT: 2, FREE: 3, WRITE: 2, FREEOBJECTS: 1, END: 1 });
  });

  test("has blocks above 128 KiB whole, and the feature that they need", () => {
    const writer = createVolumeWriter(options(2 * MIB, MIB));
    const data = new Uint8Array(MIB).fill(3);
    const { events } = read(
      Uint8Array.from(Buffer.concat([writer.begin(), writer.write(MIB, data), writer.end()])),
      [65536],
    );
    expect(events[0]).toMatchObject({ begin: { features: ["large_blocks"] } });
    const written = events.find((event) => event.kind === "write");
    expect(written?.offset).toBe(MIB);
    expect(Buffer.compare(written?.data ?? new Uint8Array(0), data)).toBe(0);
  });

  test("is as another encoder makes it", () => {
    const records: Rec[] = [
      begin([24, 8, 1_795_523_716n], [36, 4, 12], [40, 8, 0xfedc_ba98_7654_3210n]),
      object(1, 23, 512, [40, 8, 0xfedc_ba98_7654_3210n]),
    ];
    const name = Buffer.from("tank/guests/1/disk@s");
    const named = { ...records[0], fields: [...(records[0]?.fields ?? [])] } as Rec & { fields: Field[] };
    for (const [index, byte] of name.entries()) named.fields.push([56 + index, 1, byte]);
    const expected = encode([named, ...records.slice(1)]);
    expect(Buffer.from(smallStream().subarray(0, 2 * RECORD_BYTES)).equals(expected)).toBe(true);
  });

  test.each([
    ["a block size that is no power of two", { volblocksize: 1000 }],
    ["a block size below a sector", { volblocksize: 256 }],
    ["a block size above 16 MiB", { volblocksize: 32 * MIB }],
    ["a volume of no size", { volsize: 0n }],
    ["a volume above 8 PiB", { volsize: 2n ** 53n }],
    ["a name of 256 bytes", { toName: "ä".repeat(128) }],
    ["a name with a NUL", { toName: "a\0b" }],
  ])("can't have %s", (_name, wrong) => {
    expect(() => createVolumeWriter({ ...options(4096, 512), ...wrong })).toThrow(RangeError);
  });

  test("is not written out of order or out of bounds", () => {
    const writer = createVolumeWriter(options(4000, 512));
    const block = new Uint8Array(512);
    expect(() => writer.write(0, block)).toThrow(RangeError);
    writer.begin();
    expect(() => writer.begin()).toThrow(RangeError);
    expect(() => writer.write(100, block)).toThrow(RangeError);
    expect(() => writer.write(0, block.subarray(1))).toThrow(RangeError);
    expect(() => writer.write(3584, block)).toThrow(RangeError);
    expect(() => writer.write(-512, block)).toThrow(RangeError);
    expect(() => writer.free(3584, 512)).toThrow(RangeError);
    expect(writer.write(3584, block.subarray(0, 416))).toHaveLength(RECORD_BYTES + 512);
    expect(() => writer.write(0, block)).toThrow(RangeError);
    expect(() => writer.free(3584, 416)).toThrow(RangeError);
    writer.end();
    expect(() => writer.end()).toThrow(RangeError);
    expect(() => writer.free(0, 512)).toThrow(RangeError);
  });
});

describe("a damaged stream", () => {
  test("is refused with any single bit of it changed", () => {
    const stream = smallStream();
    for (let bit = 0; bit < stream.length * 8; bit++) {
      const at = bit >> 3;
      const mask = 1 << (bit & 7);
      stream[at] = (stream[at] ?? 0) ^ mask;
      expect(problemOf(stream)).toBeInstanceOf(StreamFailure);
      stream[at] = (stream[at] ?? 0) ^ mask;
    }
    expect(read(stream).events).toHaveLength(7);
  });

  test("gives nothing on that the change has touched", () => {
    const stream = smallStream();
    const sound = read(stream).events;
    fc.assert(
      fc.property(fc.nat(stream.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Uint8Array.from(stream);
        changed[at] = (changed[at] ?? 0) ^ mask;
        const reader = createVolumeReader();
        const events: VolumeEvent[] = [];
        expect(() => {
          for (const event of reader.push(changed)) events.push(event);
        }).toThrow(StreamFailure);
        expect(events).toEqual(sound.slice(0, events.length));
      }),
    );
  });

  test("is refused wherever it is cut short", () => {
    const stream = smallStream();
    for (let length = 0; length < stream.length; length++) {
      const problem = problemOf(stream.subarray(0, length), [1000]);
      expect(problem.kind).toBe("truncated");
      expect(problem.offset).toBe(length);
      expect(problem.message).toContain(`cut short at byte ${length}: `);
    }
  });

  test.each([[1], [312], [5000]])("is refused with %i bytes behind its end", (extra) => {
    const stream = smallStream();
    const longer = Uint8Array.from(Buffer.concat([stream, Buffer.alloc(extra)]));
    for (const sizes of [[longer.length], [stream.length], [7]]) {
      expect(problemOf(longer, sizes)).toMatchObject({ kind: "corrupt", offset: stream.length });
    }
  });

  test("with records left out, doubled or swapped is refused", () => {
    const stream = smallStream();
    const [first, second] = [stream.subarray(624, 936), stream.subarray(1760, 2072)];
    expect(first[0]).toBe(FREE);
    expect(second[0]).toBe(FREE);
    const cut = (from: number, to: number) => stream.subarray(from, to);
    const variants = [
      [cut(0, 624), cut(936, stream.length)],
      [cut(0, 936), first, cut(936, stream.length)],
      [cut(0, 624), second, cut(936, 1760), first, cut(2072, stream.length)],
    ];
    for (const parts of variants) {
      expect(problemOf(Uint8Array.from(Buffer.concat(parts)))).toMatchObject({ kind: "corrupt" });
    }
  });

  test("stays refused", () => {
    const reader = createVolumeReader();
    const feed = () => [...reader.push(new Uint8Array(312))];
    expect(feed).toThrow(StreamFailure);
    expect(feed).toThrow(StreamFailure);
    expect(() => reader.finish()).toThrow(StreamFailure);
  });

  test("what a push gives must be taken", () => {
    const reader = createVolumeReader();
    for (const _event of reader.push(smallStream())) break;
    expect(() => [...reader.push(new Uint8Array(1))]).toThrow("not all taken");
    expect(() => reader.finish()).toThrow("not all taken");
  });
});

describe("what is no stream", () => {
  const ext4 = new Uint8Array(4096);
  new DataView(ext4.buffer).setUint16(1024 + 56, 0xef53, true);
  test.each([
    ["gzip", gzipSync(Buffer.alloc(10_000, "a"))],
    ["text", Buffer.from("<html><body>404 not found</body></html>\n".repeat(20))],
    ["a short text", Buffer.from("nothing here")],
    ["zeros", new Uint8Array(1000)],
    ["16 zeros", new Uint8Array(16)],
    ["an empty file system", ext4],
    ["random bytes", Uint8Array.from({ length: 700 }, (_, index) => (index * index * 7 + 13) & 255)],
  ])("is refused as foreign at once: %s", (_name, bytes) => {
    for (const sizes of [[bytes.length], [3]]) {
      expect(problemOf(Uint8Array.from(bytes), sizes)).toMatchObject({ kind: "foreign", offset: 0 });
    }
  });

  test("but nothing at all, or zeros that might go on as a stream, are cut short", () => {
    expect(problemOf(new Uint8Array(0))).toMatchObject({ kind: "truncated", offset: 0 });
    expect(problemOf(new Uint8Array(8))).toMatchObject({ kind: "truncated", offset: 8 });
  });
});

describe("a stream in big-endian order", () => {
  test("reads as the same volume", () => {
    const data = Uint8Array.from({ length: 1024 }, (_, index) => (index * 11) & 255);
    const streams = [true, false].map((little) =>
      encode(
        [
          begin([48, 8, 0x0102_0304_0506_0708n], [36, 4, 1]),
          object(1, 23, 512),
          free(1, 2048, MASK),
          write(1, 512, data),
          object(2, 24, 512),
          free(2, 512, MASK),
          write(2, 0, properties(4096, little)),
          {
            type: FREEOBJECTS,
            fields: [
              [8, 8, 3],
              [16, 8, 29],
            ],
          },
          end,
        ],
        little,
      ),
    );
    const [little, big] = streams.map((stream) => read(stream, [333]));
    expect(big?.events[0]).toMatchObject({
      begin: { byteOrder: "big", fromGuid: 0x0102_0304_0506_0708n, isClone: true, toGuid: 77n },
    });
    expect(big?.events.slice(1)).toEqual(little?.events.slice(1));
    expect(big?.counts).toEqual(little?.counts);
  });

  test("is refused with any of some thousand bits changed", () => {
    const stream = encode(around(write(1, 0, new Uint8Array(512).fill(9))), false);
    for (let bit = 0; bit < stream.length * 8; bit += 7) {
      const changed = Uint8Array.from(stream);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(problemOf(changed)).toBeInstanceOf(StreamFailure);
    }
  });
});

describe("a kind of stream that isn't read", () => {
  test.each<[string, Rec, string]>([
    ["raw", withFeature(24), "raw, encrypted"],
    ["redacted", withFeature(21), "redacted"],
    ["deduplicated", withFeature(0), "deduplicated"],
    ["resumed", withFeature(20), "continues an interrupted transfer"],
    ["of a feature that nobody knows", withFeature(5), "the unknown feature 5"],
    ["of a later version", begin([16, 8, (1n << 40n) | 1n]), "reserved bits"],
    ["a package", begin([16, 8, 2]), "package"],
    ["a filesystem's", begin([32, 4, 2]), "filesystem"],
    ["of a pool's own objects", begin([32, 4, 1]), "object set of type 1"],
    ["with a list in its header", begin([4, 4, 4096]), "carries a list"],
  ])("is refused from its first record: %s", (_name, first, reason) => {
    const problem = problemOf(encode([first, end]));
    expect(problem).toMatchObject({ kind: "unsupported", offset: 0 });
    expect(problem.message).toContain(reason);
  });

  test("the features that make no difference to a volume are named", () => {
    const bits = [2, 16, 17, 19, 22, 23, 25, 27, 28, 29].reduce(
      (sum, bit) => sum | (1n << BigInt(bit + 2)),
      1n,
    );
    const { events } = read(encode([begin([16, 8, bits], [48, 8, 4]), end]));
    expect(events).toMatchObject([
      {
        begin: {
          features: [
            "sa_spill",
            "embed_data",
            "lz4",
            "large_blocks",
            "compressed",
            "large_dnode",
            "zstd",
            "switch_to_large_blocks",
            "longname",
            "large_microzap",
          ],
        },
      },
      { kind: "end" },
    ]);
  });
});

describe("data in other forms", () => {
  const plain = Uint8Array.from(Buffer.from("abcd".repeat(128)));
  /** 4 literals, a match of 503 at distance 4, 5 literals. */
  const block = Buffer.from("4f616263640400ffe5506461626364", "hex");
  const lz4 = new Uint8Array(4 + block.length);
  lz4.set([0, 0, 0, block.length]);
  lz4.set(block, 4);
  const padded = (bytes: Uint8Array, size: number) => {
    const whole = new Uint8Array(size);
    whole.set(bytes);
    return whole;
  };
  const embedded = (payload: Uint8Array, stored: number, ...fields: Field[]): Rec => ({
    type: EMBEDDED,
    payload,
    fields: [[8, 8, 1], [16, 8, 1024], [24, 8, 512], [40, 1, 15], [48, 4, 512], [52, 4, stored], ...fields],
  });
  const dataOf = (record: Rec) => {
    const found = read(encode(around(record)), [200]).events.find((event) => event.kind === "write");
    return found && { offset: found.offset, text: Buffer.from(found.data).toString() };
  };

  test("LZ4 with padding is decoded", () => {
    expect(dataOf(compressed(15, padded(lz4, 64)))).toEqual({ offset: 0, text: "abcd".repeat(128) });
  });
  test("gzip with padding is decoded", () => {
    expect(dataOf(compressed(10, padded(deflateSync(plain), 512)))?.text).toBe("abcd".repeat(128));
  });
  test("embedded LZ4 is decoded", () => {
    expect(dataOf(embedded(padded(lz4, 24), lz4.length))).toEqual({
      offset: 1024,
      text: "abcd".repeat(128),
    });
  });
  test("embedded data that isn't compressed is taken", () => {
    expect(dataOf(embedded(plain, 512, [40, 1, 2]))?.text).toBe("abcd".repeat(128));
  });

  test.each<[string, number]>([
    ["lzjb", 3],
    ["empty", 4],
    ["zle", 14],
    ["zstd", 16],
  ])("%s is refused by its name", (name, code) => {
    const problem = problemOf(encode(around(compressed(code, new Uint8Array(64)))));
    expect(problem).toMatchObject({ kind: "unsupported", offset: 624 });
    expect(problem.message).toContain(`compressed with ${name}`);
  });

  test.each<[string, Rec]>([
    ["LZ4", compressed(15, padded(lz4.subarray(0, 12), 64))],
    ["gzip", compressed(5, new Uint8Array(64).fill(1))],
    ["gzip of more than a block", compressed(5, padded(deflateSync(new Uint8Array(513)), 64))],
    ["gzip of less than a block", compressed(5, padded(deflateSync(new Uint8Array(511)), 64))],
    ["a compression that nobody knows", compressed(99, new Uint8Array(64))],
  ])("what is wrong under a right checksum is refused: %s", (_name, record) => {
    expect(problemOf(encode(around(record)))).toMatchObject({ kind: "corrupt", offset: 624 });
  });
});

describe("a stream that contradicts itself under right checksums", () => {
  const block = new Uint8Array(512);
  const cases: [string, StreamFailureKind, Rec[]][] = [
    ["a payload above 16 MiB", "corrupt", around(write(1, 0, block, [32, 8, 16 * MIB + 512]))],
    ["a payload of 2^64 - 512 bytes", "corrupt", around(write(1, 0, block, [32, 8, 2n ** 64n - 512n]))],
    ["a stored size above 16 MiB", "corrupt", around(write(1, 0, block, [50, 1, 15], [96, 8, 2n ** 40n]))],
    ["a payload of no bytes", "corrupt", around(write(1, 0, new Uint8Array(0)))],
    ["a payload of half words", "corrupt", around(compressed(15, new Uint8Array(66)))],
    ["data in a place that is no block's", "corrupt", around(write(1, 100, block))],
    ["data of half a block", "corrupt", [begin(), object(1, 23, 1024), write(1, 0, block), end]],
    ["data behind the volume's end", "corrupt", around(write(1, 4096, block))],
    ["data at 2^53", "unsupported", around(write(1, 2n ** 53n, block))],
    ["data at 2^64 - 512", "unsupported", around(write(1, 2n ** 64n - 512n, block))],
    ["holes at 2^53", "unsupported", around(free(1, 2n ** 53n, 512))],
    ["data out of order", "corrupt", around(write(1, 512, block), write(1, 0, block))],
    ["data in the same place twice", "corrupt", around(write(1, 512, block), write(1, 512, block))],
    ["a hole in data that came before", "corrupt", around(write(1, 512, block), free(1, 512, 512))],
    ["data before its object", "corrupt", [begin(), write(1, 0, block), end]],
    ["a bonus above 16 MiB", "corrupt", around(object(9, 19, 512, [28, 4, 0xffff_ffff]))],
    ["blocks of no size", "corrupt", [begin(), object(1, 23, 0), end]],
    ["blocks of three sectors", "corrupt", [begin(), object(1, 23, 1536), end]],
    ["blocks above 16 MiB", "corrupt", [begin(), object(1, 23, 32 * MIB), end]],
    ["two sizes of a block", "corrupt", around(object(1, 23, 1024))],
    ["files' contents as object 1", "corrupt", [begin(), object(1, 19, 512), end]],
    ["files' contents as object 2", "corrupt", around(object(2, 19, 512))],
    ["a raw stream's object", "corrupt", around(object(3, 19, 512, [36, 4, 8]))],
    ["a raw stream's range of objects", "corrupt", around({ type: RANGE, fields: [] })],
    ["a redaction", "corrupt", around({ type: REDACT, fields: [] })],
    ["a reference to other data", "unsupported", around({ type: BYREF, fields: [] })],
    ["a second beginning", "corrupt", around(begin())],
    ["a record that nobody knows", "corrupt", around({ type: 11, fields: [] })],
    [
      "the volume's end in a FREEOBJECTS",
      "corrupt",
      around({
        type: FREEOBJECTS,
        fields: [
          [8, 8, 0],
          [16, 8, 2],
        ],
      }),
    ],
    ["embedded data of another kind", "unsupported", around({ type: EMBEDDED, fields: [[41, 1, 2]] })],
    [
      "a spill above 16 MiB",
      "corrupt",
      around({
        type: SPILL,
        fields: [
          [8, 8, 9],
          [16, 8, 17 * MIB],
        ],
      }),
    ],
    ["no size", "corrupt", [begin(), object(1, 23, 512), end]],
    ["a size of 0", "corrupt", [begin(), write(2, 0, properties(0)), end]],
    ["a size of 2^63", "corrupt", [begin(), write(2, 0, properties(2n ** 63n)), end]],
    ["properties without a size", "corrupt", [begin(), write(2, 0, properties(4096, true, "sise")), end]],
    ["properties that are no ZAP", "corrupt", [begin(), write(2, 0, block), end]],
    ["properties of several blocks", "unsupported", around(write(2, 512, block))],
    ["a wrong sum of the whole", "corrupt", [...around().slice(0, -1), { type: END, fields: [[8, 8, 1]] }]],
  ];
  test.each(cases)("is refused: %s", (_name, kind, records) => {
    expect(problemOf(encode(records))).toMatchObject({ kind });
  });

  test("a payload that is too large is refused before it comes", () => {
    const stream = encode([begin(), object(1, 23, 512), write(1, 0, block, [32, 8, 2 ** 31])]);
    const reader = createVolumeReader();
    expect(() => [...reader.push(stream.subarray(0, 3 * RECORD_BYTES))]).toThrow("more than the 16777216");
  });
});

describe("what else a volume's stream may have", () => {
  test("holes that end behind what a double holds are clipped to it", () => {
    const { events } = read(
      encode(around(free(1, 512, 2n ** 64n - 512n), free(1, 1024, 2n ** 53n), free(1, 0, 0))),
    );
    expect(events.filter(({ kind }) => kind === "free")).toEqual([
      { kind: "free", offset: 512, length: Number.MAX_SAFE_INTEGER - 512 },
      { kind: "free", offset: 1024, length: Number.MAX_SAFE_INTEGER - 1024 },
    ]);
  });

  test("an incremental stream may change nothing, or the size alone", () => {
    const from: Field = [48, 8, 3];
    expect(read(encode([begin(from), end])).events.map(({ kind }) => kind)).toEqual(["begin", "end"]);
    const resized = [begin(from), object(2, 24, 512), write(2, 0, properties(2n ** 60n)), end];
    expect(read(encode(resized)).events[1]).toEqual({ kind: "size", volsize: 2n ** 60n });
  });

  test("other objects are passed over, checked", () => {
    const others: Rec[] = [
      object(9, 44, 512, [28, 4, 10]),
      write(9, 77, new Uint8Array(512)),
      {
        type: SPILL,
        fields: [
          [8, 8, 9],
          [16, 8, 512],
        ],
        payload: new Uint8Array(512),
      },
      free(9, 0, MASK),
    ];
    const [first, ...rest] = others;
    const records = around({ ...(first as Rec), payload: new Uint8Array(16) }, ...rest);
    expect(read(encode(records), [100]).events.map(({ kind }) => kind)).toEqual([
      "begin",
      "blocksize",
      "size",
      "end",
    ]);
  });

  test("the data of all events of a push stays valid until the next", () => {
    const blocks = [1, 2, 3].map((value) => write(1, value * 512, new Uint8Array(512).fill(value)));
    const stream = encode(around(...blocks));
    const reader = createVolumeReader();
    const early = [...reader.push(stream.subarray(0, 1000))];
    expect(early.map(({ kind }) => kind)).toEqual(["begin", "blocksize"].slice(0, early.length));
    const written = [...reader.push(stream.subarray(1000))].filter((event) => event.kind === "write");
    expect(written.map(({ data }) => [data.length, data[0], data[511]])).toEqual([
      [512, 1, 1],
      [512, 2, 2],
      [512, 3, 3],
    ]);
  });
});
