import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { mergeRanges } from "../../../../src/protocol/raw-disk/data-ranges.js";
import { type ReceivedVolume, receiveVolume } from "../../../../src/protocol/raw-disk/receive-volume.js";
import { type SendVolumeOptions, sendVolume } from "../../../../src/protocol/raw-disk/send-volume.js";
import { StreamFailure } from "../../../../src/protocol/zfs-stream/stream-failure.js";

const MIB = 2 ** 20;

let scratch = "";
const at = (name: string) => join(scratch, name);
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-volume-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
afterEach(() => expect(openFiles()).toEqual([]));

function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    const link = `/proc/self/fd/${fd}`;
    const path = existsSync(link) ? readlinkSync(link) : "";
    return path.startsWith(scratch) ? [path] : [];
  });
}

interface Sent {
  readonly volblocksize?: number;
  readonly volsize?: number;
  readonly from?: string;
  readonly write?: SendVolumeOptions["write"];
  readonly onProgress?: (bytes: number) => void;
  readonly dataRanges?: SendVolumeOptions["dataRanges"];
}

/** The stream of a file, guid 1 for a full one and 2 for what builds on it. */
async function send(file: string, options: Sent = {}): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const { from, volsize = statSync(file).size, volblocksize = 4096 } = options;
  await sendVolume({
    file,
    ...(from === undefined ? {} : { from }),
    stream: {
      toName: "pool/volume@snap",
      toGuid: from === undefined ? 1n : 2n,
      fromGuid: from === undefined ? 0n : 1n,
      creationTime: 1_700_000_000n,
      volsize: BigInt(volsize),
      volblocksize,
    },
    write: options.write ?? ((chunk) => void pieces.push(Uint8Array.from(chunk))),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    dataRanges: options.dataRanges,
  });
  return Buffer.concat(pieces);
}

async function* inPieces(stream: Buffer, pieceBytes = 64 * 1024): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < stream.length; offset += pieceBytes) {
    // Used again for the next one, as a reader of files may do.
    yield Buffer.from(stream.subarray(offset, offset + pieceBytes));
  }
}

/** Applies a stream to a file, a new one unless it exists. */
async function receive(
  source: AsyncIterable<Uint8Array>,
  file: string,
  flags = existsSync(file) ? "r+" : "wx+",
): Promise<ReceivedVolume> {
  const handle = await open(file, flags);
  try {
    return await receiveVolume({ source, openTarget: async () => handle });
  } finally {
    await handle.close();
  }
}

/** The file's content, with zeros up to `bytes`. */
function padded(file: string, bytes: number): Buffer {
  const whole = Buffer.alloc(bytes);
  readFileSync(file).copy(whole);
  return whole;
}

const allocated = (file: string) => statSync(file).blocks * 512;

/** A disk as a list of stretches: zeros or data, some blocks each. */
const disk = fc.array(fc.record({ blocks: fc.integer({ min: 1, max: 40 }), filled: fc.boolean() }), {
  maxLength: 12,
});

function writeDisk(file: string, stretches: readonly { blocks: number; filled: boolean }[], block: number) {
  const parts = stretches.map(({ blocks, filled }) =>
    filled ? randomBytes(blocks * block) : Buffer.alloc(blocks * block),
  );
  writeFileSync(file, Buffer.concat(parts));
}

/** Random changes: some blocks become data, some zeros, and the size is another. */
function changeDisk(
  from: string,
  to: string,
  seeds: readonly { where: number; filled: boolean }[],
  block: number,
) {
  const content = readFileSync(from);
  for (const { where, filled } of seeds) {
    const start = Math.floor((where * content.length) / block) * block;
    content.fill(filled ? randomBytes(block) : 0, start, start + block);
  }
  writeFileSync(to, content);
}

describe("a raw disk", () => {
  test("comes through a stream as it was, and an incremental makes the older one the newer", async () => {
    await fc.assert(
      fc.asyncProperty(
        disk,
        fc.array(fc.record({ where: fc.double({ min: 0, max: 0.99, noNaN: true }), filled: fc.boolean() }), {
          maxLength: 10,
        }),
        fc.constantFrom(512, 4096, 16384),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 100, max: 300_000 }),
        async (stretches, changes, volblocksize, oldMib, newMib, pieceBytes) => {
          writeDisk(at("old"), stretches, volblocksize);
          const full = await send(at("old"), { volsize: oldMib * MIB, volblocksize });
          const received = await receive(inPieces(full, pieceBytes), at("target"));
          expect(received).toMatchObject({ volsize: BigInt(oldMib * MIB), volblocksize });
          expect(readFileSync(at("target")).equals(padded(at("old"), oldMib * MIB))).toBe(true);

          truncateSync(at("old"), oldMib * MIB);
          changeDisk(at("old"), at("new"), changes, volblocksize);
          const increment = await send(at("new"), { from: at("old"), volsize: newMib * MIB, volblocksize });
          await receive(inPieces(increment, pieceBytes), at("target"));
          expect(readFileSync(at("target")).equals(padded(at("new"), newMib * MIB))).toBe(true);
          for (const name of ["old", "new", "target"]) rmSync(at(name));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("of one block in 64 MiB makes a short stream and a sparse file", async () => {
    writeFileSync(at("old"), "");
    truncateSync(at("old"), 64 * MIB);
    const file = await open(at("old"), "r+");
    await file.write(randomBytes(4096), 0, 4096, 33 * MIB);
    await file.close();
    const stream = await send(at("old"));
    expect(stream.length).toBeLessThan(4096 + 12 * 312);
    const { writtenBytes, recordCounts } = await receive(inPieces(stream), at("target"));
    expect(writtenBytes).toBe(4096);
    expect(recordCounts).toMatchObject({ BEGIN: 1, END: 1 });
    expect(readFileSync(at("target")).equals(readFileSync(at("old")))).toBe(true);
    expect(allocated(at("target"))).toBeLessThan(MIB);
    for (const name of ["old", "target"]) rmSync(at(name));
  });

  test("whose size is no whole number of blocks comes through as well", async () => {
    writeFileSync(at("old"), randomBytes(5 * 512));
    await receive(inPieces(await send(at("old"), { volblocksize: 4096 })), at("target"));
    expect(readFileSync(at("target")).equals(readFileSync(at("old")))).toBe(true);
    for (const name of ["old", "target"]) rmSync(at(name));
  });
});

describe("an incremental", () => {
  beforeAll(() => {
    writeFileSync(at("a"), randomBytes(2 * MIB));
    copyFileSync(at("a"), at("b"));
  });

  test("of what did not change holds no data", async () => {
    const stream = await send(at("b"), { from: at("a") });
    expect(stream.length).toBeLessThan(12 * 312 + 512);
  });

  test("holds the blocks that differ and no others", async () => {
    const changed = readFileSync(at("a"));
    for (const block of [3, 4, 200]) changed[block * 4096 + 17] = (changed[block * 4096 + 17] ?? 0) ^ 1;
    writeFileSync(at("b"), changed);
    copyFileSync(at("a"), at("target"));
    const { writtenBytes } = await receive(inPieces(await send(at("b"), { from: at("a") })), at("target"));
    expect(writtenBytes).toBe(3 * 4096);
    expect(readFileSync(at("target")).equals(changed)).toBe(true);
    rmSync(at("target"));
  });

  test("frees what became zeros with one record, across what is read at once", async () => {
    const changed = readFileSync(at("a")).fill(0, MIB / 2, MIB + MIB / 2);
    writeFileSync(at("b"), changed);
    copyFileSync(at("a"), at("target"));
    const { writtenBytes, recordCounts } = await receive(
      inPieces(await send(at("b"), { from: at("a") })),
      at("target"),
    );
    expect(writtenBytes).toBe(0);
    // Two come with every stream: behind the volume, and behind its properties.
    expect(recordCounts.FREE).toBe(3);
    expect(readFileSync(at("target")).equals(changed)).toBe(true);
    rmSync(at("target"));
  });

  test("leaves the holes of the file it frees alone", async () => {
    const size = 32 * MIB;
    writeFileSync(at("filled"), randomBytes(MIB));
    truncateSync(at("filled"), size);
    // The older one, as sent, had data where the target has a hole already.
    const older = Buffer.alloc(size, 1);
    readFileSync(at("filled")).copy(older, 0, 0, MIB);
    older.copy(older, size - MIB, 0, MIB);
    const newer = Buffer.alloc(size);
    older.copy(newer, 0, 0, MIB);
    older.copy(newer, size - MIB, 0, MIB);
    writeFileSync(at("older"), older);
    writeFileSync(at("newer"), newer);
    const file = await open(at("filled"), "r+");
    await file.write(older, size - MIB, MIB, size - MIB);
    await file.close();
    await receive(inPieces(await send(at("newer"), { from: at("older") })), at("filled"));
    expect(readFileSync(at("filled")).equals(newer)).toBe(true);
    expect(allocated(at("filled"))).toBeLessThan(3 * MIB);
    for (const name of ["filled", "older", "newer"]) rmSync(at(name));
  });
});

describe("what goes wrong", () => {
  let stream: Buffer = Buffer.alloc(0);
  beforeAll(async () => {
    writeFileSync(at("disk"), randomBytes(3 * MIB));
    stream = await send(at("disk"));
  });
  afterEach(() => rmSync(at("target"), { force: true }));

  test("a stream cut short anywhere is refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: stream.length - 1 }), async (length) => {
        const refused = receive(inPieces(stream.subarray(0, length)), at("target"), "w+");
        await expect(refused).rejects.toThrow(StreamFailure);
        await expect(refused).rejects.toMatchObject({ kind: "truncated" });
      }),
      { numRuns: 20 },
    );
  });

  test("a flipped bit anywhere is refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: stream.length * 8 - 1 }), async (bit) => {
        const flipped = Buffer.from(stream);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await expect(receive(inPieces(flipped), at("target"), "w+")).rejects.toThrow(StreamFailure);
      }),
      { numRuns: 20 },
    );
  });

  test("the error of a target that refuses the stream is passed on, and the source is closed", async () => {
    let given = 0;
    let closed = false;
    async function* source() {
      try {
        for await (const piece of inPieces(stream)) {
          given++;
          yield piece;
        }
      } finally {
        closed = true;
      }
    }
    const refusal = new Error("not on this one");
    const openTarget = () => Promise.reject(refusal);
    await expect(receiveVolume({ source: source(), openTarget })).rejects.toBe(refusal);
    expect({ given, closed }).toEqual({ given: 1, closed: true });
  });

  test("a target that can't be written gives its error", async () => {
    writeFileSync(at("target"), "");
    await expect(receive(inPieces(stream), at("target"), "r")).rejects.toMatchObject({ code: "EBADF" });
  });

  test("a source that breaks gives its error, and nothing is written afterwards", async () => {
    async function* broken() {
      yield* inPieces(stream.subarray(0, 2 * MIB));
      throw new Error("the line is dead");
    }
    await expect(receive(broken(), at("target"))).rejects.toThrow("the line is dead");
  });

  test("a sink that fails ends the sending at once", async () => {
    let written = 0;
    const write = () => {
      written++;
      return written === 2 ? Promise.reject(new Error("gone")) : Promise.resolve();
    };
    await expect(send(at("disk"), { write })).rejects.toThrow("gone");
    expect(written).toBe(2);
  });

  test("a file that is missing is named", async () => {
    await expect(send(at("nope"), { volsize: MIB })).rejects.toThrow(/ENOENT.*nope/);
    await expect(send(at("disk"), { from: at("nope") })).rejects.toThrow(/ENOENT.*nope/);
  });
});

test("nothing is read ahead of a sink that takes its time, but what is bounded", async () => {
  writeFileSync(at("long"), "");
  truncateSync(at("long"), 16 * MIB);
  const file = await open(at("long"), "r+");
  for (let piece = 0; piece < 16; piece++) await file.write(Buffer.alloc(4096, 1), 0, 4096, piece * MIB);
  await file.close();
  let read = 0;
  let calls = 0;
  const seen: number[] = [];
  await send(at("long"), {
    write: async () => {
      calls++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      seen.push(read);
    },
    onProgress: (bytes) => {
      read = bytes;
    },
  });
  // Begin, one for each piece, end.
  expect(calls).toBe(18);
  // The piece that is written, and two that wait for that.
  for (const [written, bytes] of seen.entries()) expect(bytes).toBeLessThanOrEqual((written + 2) * MIB);
  expect(read).toBe(16 * MIB);
  rmSync(at("long"));
});

describe("where the data of a disk is", () => {
  const SIZE = 24 * MIB;
  /** A disk with a block at each of these places, and the range of each, wider than need be. */
  async function makeDisk(name: string, places: readonly number[]) {
    writeFileSync(at(name), "");
    truncateSync(at(name), SIZE);
    await using file = await open(at(name), "r+");
    for (const place of places) await file.write(Buffer.alloc(4096, 1 + (place % 200)), 0, 4096, place);
    return places
      .map((place) => ({ start: Math.max(0, place - 100), end: Math.min(SIZE, place + 5000) }))
      .sort((one, other) => one.start - other.start);
  }
  const placesOf = fc.uniqueArray(
    fc.nat(SIZE / 4096 - 1).map((block) => block * 4096),
    { maxLength: 12 },
  );

  test("changes nothing in its stream, full or incremental, but what is read for it", async () => {
    await fc.assert(
      fc.asyncProperty(placesOf, placesOf, async (newer, older) => {
        const ranges = await makeDisk("ranges-new", newer);
        const olderRanges = await makeDisk("ranges-old", older);
        const full = await send(at("ranges-new"), { dataRanges: ranges });
        expect(full.equals(await send(at("ranges-new")))).toBe(true);
        const from = at("ranges-old");
        const both = mergeRanges(ranges, olderRanges);
        const incremental = await send(at("ranges-new"), { from, dataRanges: both });
        expect(incremental.equals(await send(at("ranges-new"), { from }))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test("makes the stream of 4 TiB of holes as short as its data", async () => {
    writeFileSync(at("vast"), "");
    const size = 4 * 2 ** 40;
    truncateSync(at("vast"), size);
    const ends: number[] = [];
    const stream = await send(at("vast"), {
      volsize: size,
      dataRanges: [],
      onProgress: (bytes) => void ends.push(bytes),
    });
    expect(stream.length).toBeLessThan(64 * 1024);
    expect(ends).toEqual([size]);
    await receive(inPieces(stream), at("vast-again"));
    expect(statSync(at("vast-again"))).toMatchObject({ size, blocks: 0 });
  });
});
