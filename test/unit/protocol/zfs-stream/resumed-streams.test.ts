import { describe, expect, test } from "vitest";
import { readResumeList, writeResumeList } from "../../../../src/protocol/zfs-stream/resume-list.js";
import { StreamFailure } from "../../../../src/protocol/zfs-stream/stream-failure.js";
import { createStreamGuard } from "../../../../src/protocol/zfs-stream/stream-guard.js";
import { createVolumeReader, type VolumeEvent } from "../../../../src/protocol/zfs-stream/volume-reader.js";
import { createVolumeWriter } from "../../../../src/protocol/zfs-stream/volume-writer.js";

const RECORD_BYTES = 312;
const BLOCK = 4096;
const VOLSIZE = 10 * BLOCK;

const options = (resumeAt?: number) => ({
  toName: "tank/v@s",
  toGuid: 7n,
  fromGuid: 5n,
  creationTime: 1n,
  volsize: BigInt(VOLSIZE),
  volblocksize: BLOCK,
  resumeAt,
});

function rest(resumeAt: number): Buffer {
  const writer = createVolumeWriter(options(resumeAt));
  const data = Buffer.alloc(BLOCK, 3);
  return Buffer.concat([
    writer.begin(),
    writer.write(resumeAt, data),
    writer.free(resumeAt + BLOCK, BLOCK),
    writer.end(),
  ]);
}

function read(stream: Uint8Array, chunkBytes = stream.length, mayBeResumed = true): VolumeEvent[] {
  const reader = createVolumeReader(mayBeResumed);
  const events: VolumeEvent[] = [];
  for (let at = 0; at < stream.length; at += chunkBytes)
    events.push(...reader.push(stream.slice(at, at + chunkBytes)));
  reader.finish();
  return events;
}

describe("the list of a resumed stream", () => {
  test("has the bytes that nvlist_pack makes of two numbers", () => {
    const list = Buffer.from(writeResumeList({ object: 1, offset: 0x1234_5678_9000 }));
    const pair = (name: string, value: bigint) => {
      const bytes = Buffer.alloc(16 + 16 + 8);
      bytes.writeInt32LE(40, 0);
      bytes.writeInt16LE(name.length + 1, 4);
      bytes.writeInt32LE(1, 8);
      bytes.writeInt32LE(8, 12);
      bytes.write(name, 16);
      bytes.writeBigUInt64LE(value, 32);
      return bytes;
    };
    const head = Buffer.from([0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    const pairs = [pair("resume_object", 1n), pair("resume_offset", 0x1234_5678_9000n)];
    expect(list).toEqual(Buffer.concat([head, ...pairs, Buffer.alloc(4)]));
    expect(list.length % 8).toBe(0);
  });

  test("is read again, and refused where it is cut, damaged or says nothing", () => {
    const place = { object: 1, offset: 2 ** 40 + BLOCK };
    const list = writeResumeList(place);
    expect(readResumeList(list)).toEqual(place);
    for (let length = 0; length < list.length; length++) {
      expect(() => readResumeList(list.subarray(0, length))).toThrow(StreamFailure);
    }
    const changed = (at: number, byte: number) => {
      const copy = Uint8Array.from(list);
      copy[at] = byte;
      return copy;
    };
    // Another encoding, a pair of no size, one beyond the end, a name too long, a number beyond all places.
    for (const [at, byte] of [
      [0, 1],
      [12, 4],
      [13, 9],
      [16, 200],
      [51, 255],
    ] as const) {
      expect(() => readResumeList(changed(at, byte))).toThrow(StreamFailure);
    }
  });
});

describe("the rest of a stream", () => {
  test.each([1, 7, 311, 312, 313, 5000, 100_000])("is read in chunks of %d bytes", (chunkBytes) => {
    const events = read(rest(4 * BLOCK), chunkBytes);
    expect(events[0]).toMatchObject({
      kind: "begin",
      begin: { toGuid: 7n, features: ["resuming"] },
      resume: { object: 1, offset: 4 * BLOCK },
    });
    expect(events.map(({ kind }) => kind)).toEqual([
      "begin",
      "blocksize",
      "free",
      "write",
      "free",
      "size",
      "end",
    ]);
  });

  test("is refused where it is not expected, and passed on by the guard where it is", () => {
    const stream = rest(4 * BLOCK);
    expect(() => read(stream, stream.length, false)).toThrow(/continues an interrupted transfer/);
    expect(() => createStreamGuard({ increments: true }).push(stream)).toThrow(/continues an interrupted/);
    const guard = createStreamGuard({ increments: true, resumed: true });
    expect(Buffer.concat([...guard.push(stream), guard.finish()])).toEqual(stream);
  });

  test("may write nothing before the place where it goes on, neither made nor read", () => {
    const writer = createVolumeWriter(options(4 * BLOCK));
    writer.begin();
    expect(() => writer.write(3 * BLOCK, Buffer.alloc(BLOCK))).toThrow(RangeError);
    expect(() => writer.free(3 * BLOCK, BLOCK)).toThrow(RangeError);
    for (const wrong of [1, -BLOCK, 11 * BLOCK]) {
      expect(() => createVolumeWriter(options(wrong))).toThrow(RangeError);
    }
    expect(() => createVolumeWriter(options(VOLSIZE))).not.toThrow();
  });

  test("is damaged with any bit of its head and its list changed", () => {
    const stream = rest(4 * BLOCK);
    const headBytes = RECORD_BYTES + writeResumeList({ object: 1, offset: 0 }).length;
    for (let at = 0; at < headBytes; at += 3) {
      const copy = Uint8Array.from(stream);
      copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
      expect(() => read(copy)).toThrow(StreamFailure);
    }
  });

  test("is not read where it goes on in another object than the data", () => {
    const stream = rest(4 * BLOCK);
    const list = Buffer.from(writeResumeList({ object: 2, offset: 0 }));
    list.copy(stream, RECORD_BYTES);
    expect(() => read(stream)).toThrow(StreamFailure);
  });
});
