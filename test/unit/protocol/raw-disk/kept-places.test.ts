import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { createKeptPlaces, type KeptPlace } from "../../../../src/protocol/raw-disk/kept-places.js";
import { receiveVolume } from "../../../../src/protocol/raw-disk/receive-volume.js";
import { sendVolume } from "../../../../src/protocol/raw-disk/send-volume.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const UNIT = 64 * 1024;
const BLOCK = 16_384;
const MIB = 2 ** 20;
const [older, newer, target] = ["older", "newer", "target"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];

/** A disk: for each unit the byte that fills it, 0 for a hole. */
const disk = fc.array(fc.constantFrom(0, 0, 1, 2, 3), { minLength: 1, maxLength: 64 });
const contentOf = (units: readonly number[]) => Buffer.concat(units.map((byte) => Buffer.alloc(UNIT, byte)));

async function streamOf(length: number, isFull: boolean, resumeAt: number | undefined): Promise<Buffer> {
  const parts: Buffer[] = [];
  await sendVolume({
    file: newer,
    ...(!isFull && { from: older }),
    stream: {
      toName: "tank/v@b",
      toGuid: 2n,
      fromGuid: isFull ? 0n : 1n,
      creationTime: 1n,
      volsize: BigInt(length),
      volblocksize: BLOCK,
      resumeAt,
    },
    write: (chunk) => void parts.push(Buffer.from(chunk)),
  });
  return Buffer.concat(parts);
}

/** Receives what there is of a stream into the target. @returns the last place that was saved, and whether it was whole. */
async function receivePart(
  stream: Buffer,
  bytes: number,
): Promise<{ place: KeptPlace | undefined; isWhole: boolean }> {
  let place: KeptPlace | undefined;
  await using file = await open(target, "r+");
  async function* source() {
    for (let at = 0; at < bytes; at += 100_000) yield stream.subarray(at, Math.min(bytes, at + 100_000));
  }
  const save = async (reached: KeptPlace) => {
    place = reached;
  };
  try {
    await receiveVolume({ source: source(), openTarget: async () => file, save });
    return { place, isWhole: true };
  } catch (error) {
    expect(String(error)).toMatch(/its end is missing|it is empty/);
    return { place, isWhole: false };
  }
}

describe("a receive that breaks and goes on", () => {
  test("makes the volume that the whole stream makes, wherever it is cut, and takes hardly more bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        disk,
        disk,
        fc.boolean(),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 4 }),
        async (before, after, isFull, cuts) => {
          writeFileSync(older, contentOf(before));
          writeFileSync(newer, contentOf(after));
          writeFileSync(target, isFull ? "" : contentOf(before));
          const length = after.length * UNIT;
          let resumeAt: number | undefined;
          let moved = 0;
          const whole = (await streamOf(length, isFull, undefined)).length;
          for (const cut of [...cuts, 1]) {
            const stream = await streamOf(length, isFull, resumeAt);
            const bytes = Math.floor(cut * stream.length);
            moved += bytes;
            const { place, isWhole } = await receivePart(stream, bytes);
            resumeAt = place?.offset ?? resumeAt;
            if (isWhole) break;
            // What a killed process may have left behind that place.
            if (isFull && resumeAt !== undefined) truncateSync(target, resumeAt);
          }
          expect(readFileSync(target).equals(contentOf(after))).toBe(true);
          // Of each part: its head, its end, and a block of which not all came with the header behind it.
          expect(moved).toBeLessThanOrEqual(whole + cuts.length * (2 * BLOCK + 64 * 1024));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("fails with a place that can't be saved, and saves none after a sync that failed", async () => {
    writeFileSync(newer, Buffer.alloc(40 * MIB, 9));
    writeFileSync(target, "");
    const stream = await streamOf(40 * MIB, true, undefined);
    await using file = await open(target, "r+");
    const full = new Error("no room for the state");
    const receiving = receiveVolume({
      source: (async function* () {
        for (let at = 0; at < stream.length; at += MIB) yield stream.subarray(at, at + MIB);
      })(),
      openTarget: async () => file,
      save: async () => Promise.reject(full),
    });
    await expect(receiving).rejects.toBe(full);

    const saved: KeptPlace[] = [];
    const lost = Object.assign(new Error("lost"), { code: "EIO" });
    const places = createKeptPlaces(
      { datasync: async () => Promise.reject(lost) },
      { flush: async () => {} },
      0,
      async (place) => void saved.push(place),
    );
    places.reached(20 * MIB, 20 * MIB);
    await expect(places.settle()).rejects.toBe(lost);
    await expect(places.finish(30 * MIB, 30 * MIB)).rejects.toBe(lost);
    expect(saved).toEqual([]);
  });

  test("a place is saved once all before it is written and synced, one at a time, and none that is no further", async () => {
    const steps: string[] = [];
    let release = () => {};
    const places = createKeptPlaces(
      {
        datasync: async () => {
          steps.push("sync");
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        },
      },
      { flush: async () => void steps.push("flush") },
      MIB,
      async ({ offset }) => void steps.push(`save ${offset / MIB}`),
    );
    places.reached(2 * MIB, MIB);
    expect(steps).toEqual([]);
    places.reached(40 * MIB, 39 * MIB);
    places.reached(80 * MIB, 79 * MIB);
    await new Promise((resolve) => setImmediate(resolve));
    expect(steps).toEqual(["flush", "sync"]);
    release();
    await places.settle();
    await places.finish(40 * MIB, 39 * MIB);
    expect(steps).toEqual(["flush", "sync", "save 40"]);
    const last = places.finish(41 * MIB, 40 * MIB);
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await last;
    expect(steps).toEqual(["flush", "sync", "save 40", "flush", "sync", "save 41"]);
  });
});
