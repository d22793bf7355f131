import { expect, test } from "vitest";
import { createVolumeReader } from "../../../../src/protocol/zfs-stream/volume-reader.js";
import { createVolumeWriter, type VolumeWriter } from "../../../../src/protocol/zfs-stream/volume-writer.js";

const MIB = 2 ** 20;
const VOLUME_BYTES = 16 * MIB;
const ROUNDS = 8;
/** Far below what is printed, for a machine that is busy; BigInt sums would be slower. */
const FLOOR_MB_PER_S = 60;

/** The best of some rounds: other work on the machine makes the rest. @returns MB/s. */
function speed(round: () => void): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let count = 0; count < ROUNDS; count++) {
    const startedAt = performance.now();
    round();
    bestMs = Math.min(bestMs, performance.now() - startedAt);
  }
  return Math.round(VOLUME_BYTES / 1000 / bestMs);
}

function newWriter(volblocksize: number): VolumeWriter {
  return createVolumeWriter({
    toName: "pool/volume@snapshot",
    toGuid: 1n,
    fromGuid: 0n,
    creationTime: 0n,
    volsize: BigInt(VOLUME_BYTES),
    volblocksize,
  });
}

/** The same bytes each time, in which no two blocks are alike. */
function noise(): Uint8Array {
  const words = new Uint32Array(MIB / 4);
  for (let index = 0, word = 1; index < words.length; index++) {
    word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
    words[index] = word;
  }
  return new Uint8Array(words.buffer);
}

test.each([4096, 16384, 131072, MIB])("a stream in blocks of %i is read and written fast", (blockBytes) => {
  const data = noise();
  const write = (): Uint8Array[] => {
    const writer = newWriter(blockBytes);
    const parts = [writer.begin()];
    for (let at = 0; at < VOLUME_BYTES; at += MIB) parts.push(writer.write(at, data));
    parts.push(writer.end());
    return parts;
  };
  const writeSpeed = speed(write);
  const stream = Buffer.concat(write());
  let bytes = 0;
  const readSpeed = speed(() => {
    const reader = createVolumeReader();
    bytes = 0;
    for (let at = 0; at < stream.length; at += 65536) {
      for (const event of reader.push(stream.subarray(at, at + 65536))) {
        if (event.kind === "write") bytes += event.data.length;
      }
    }
    reader.finish();
  });
  process.stdout.write(
    `zfs-stream, blocks of ${blockBytes}: read ${readSpeed} MB/s, write ${writeSpeed} MB/s, with checksums\n`,
  );
  expect(bytes).toBe(VOLUME_BYTES);
  expect(Math.min(readSpeed, writeSpeed)).toBeGreaterThan(FLOOR_MB_PER_S);
});
