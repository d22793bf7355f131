import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { DataRange } from "../../../../src/protocol/raw-disk/data-ranges.js";
import { sendVolume } from "../../../../src/protocol/raw-disk/send-volume.js";
import { createVolumeReader } from "../../../../src/protocol/zfs-stream/volume-reader.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const UNIT = 64 * 1024;
const [older, newer] = [join(folder, "older"), join(folder, "newer")];

/** A disk: for each unit the byte that fills it, 0 for a hole. */
const disk = fc.array(fc.constantFrom(0, 0, 0, 1, 2), { minLength: 1, maxLength: 96 });
const contentOf = (units: readonly number[]) => Buffer.concat(units.map((byte) => Buffer.alloc(UNIT, byte)));
const rangesOf = (units: readonly number[]): DataRange[] =>
  units.flatMap((byte, at) => (byte === 0 ? [] : [{ start: at * UNIT, end: (at + 1) * UNIT }]));

/** What a receiver that has `before` has after the stream. */
function received(stream: Buffer, before: Buffer, length: number): Buffer {
  const after = Buffer.concat([before, Buffer.alloc(Math.max(0, length - before.length))]);
  const reader = createVolumeReader();
  for (const event of reader.push(stream)) {
    if (event.kind === "free")
      after.fill(0, event.offset, Math.min(after.length, event.offset + event.length));
    if (event.kind === "write") after.set(event.data, event.offset);
  }
  reader.finish();
  return after.subarray(0, length);
}

async function increment(
  units: readonly number[],
  options: Pick<Parameters<typeof sendVolume>[0], "from" | "isOlderUnknown" | "dataRanges">,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  await sendVolume({
    file: newer,
    ...options,
    stream: {
      toName: "tank/v@b",
      toGuid: 2n,
      fromGuid: 1n,
      creationTime: 1n,
      volsize: BigInt(units.length * UNIT),
      volblocksize: 16_384,
    },
    write: (chunk) => void parts.push(Buffer.from(chunk)),
  });
  return Buffer.concat(parts);
}

describe("an increment", () => {
  test("makes the newer disk of the older one, whatever changed, and whatever their sizes", async () => {
    await fc.assert(
      fc.asyncProperty(disk, disk, async (before, after) => {
        writeFileSync(older, contentOf(before));
        writeFileSync(newer, contentOf(after));
        const dataRanges = [...rangesOf(before), ...rangesOf(after)].sort((a, b) => a.start - b.start);
        for (const ranges of [dataRanges, undefined]) {
          const stream = await increment(after, { from: older, dataRanges: ranges });
          expect(received(stream, contentOf(before), after.length * UNIT).equals(contentOf(after))).toBe(
            true,
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  test("on a disk that is not at hand makes the newer one of any", async () => {
    await fc.assert(
      fc.asyncProperty(disk, disk, async (before, after) => {
        writeFileSync(newer, contentOf(after));
        for (const ranges of [rangesOf(after), undefined]) {
          const stream = await increment(after, { isOlderUnknown: true, dataRanges: ranges });
          expect(received(stream, contentOf(before), after.length * UNIT).equals(contentOf(after))).toBe(
            true,
          );
        }
      }),
      { numRuns: 40 },
    );
  });
});
