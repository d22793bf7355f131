import { describe, expect, test } from "vitest";
import { createEarlySync } from "../../../../src/protocol/raw-disk/early-sync.js";
import { createWriteBehind } from "../../../../src/protocol/raw-disk/write-behind.js";
import { turn } from "../../../support/until.js";

/** Writes that end when the test says so. */
function createSink() {
  const started: number[] = [];
  const ends: { readonly end: () => void; readonly fail: (error: Error) => void }[] = [];
  const write = (id: number) => () => {
    started.push(id);
    return new Promise<void>((end, fail) => ends.push({ end, fail }));
  };
  return { started, ends, write };
}

describe("buffers that are written behind", () => {
  test("are three, written one after the other, and come back when they are written", async () => {
    const { started, ends, write } = createSink();
    const behind = createWriteBehind(8);
    const taken = new Set<Buffer>();
    for (let id = 0; id < 3; id++) {
      const buffer = await behind.take();
      taken.add(buffer);
      behind.put(buffer, write(id));
    }
    expect(taken.size).toBe(3);
    let fourth: Buffer | undefined;
    const taking = behind.take().then((buffer) => {
      fourth = buffer;
    });
    await turn();
    expect({ started, fourth }).toEqual({ started: [0], fourth: undefined });
    ends[0]?.end();
    await taking;
    expect(taken.has(fourth ?? Buffer.alloc(0))).toBe(true);
    expect(started).toEqual([0, 1]);
    ends[1]?.end();
    await turn();
    ends[2]?.end();
    await behind.flush();
    expect(started).toEqual([0, 1, 2]);
  });

  test("are not written any more after one that failed, which every later call tells", async () => {
    const { started, ends, write } = createSink();
    const behind = createWriteBehind(8);
    for (let id = 0; id < 3; id++) behind.put(await behind.take(), write(id));
    await turn();
    ends[0]?.fail(new Error("full"));
    await expect(behind.take()).rejects.toThrow("full");
    await expect(behind.flush()).rejects.toThrow("full");
    expect(started).toEqual([0]);
  });
});

describe("an early sync", () => {
  const STEP = 128 * 2 ** 20;

  test("begins with each 128 MiB, but only one at a time", async () => {
    const ends: (() => void)[] = [];
    const early = createEarlySync({ datasync: () => new Promise((resolve) => ends.push(resolve)) });
    early.wrote(STEP - 1);
    await turn();
    expect(ends).toHaveLength(0);
    early.wrote(1);
    await turn();
    early.wrote(STEP);
    await turn();
    expect(ends).toHaveLength(1);
    ends[0]?.();
    await early.settle();
    early.wrote(1);
    await turn();
    expect(ends).toHaveLength(2);
    ends[1]?.();
    await early.settle();
  });

  test("that failed is told at the end, though those after it do not fail: the system tells it once", async () => {
    let calls = 0;
    const early = createEarlySync({
      datasync: async () => {
        calls++;
        if (calls === 1) throw new Error("EIO");
      },
    });
    early.wrote(STEP);
    await turn();
    early.wrote(STEP);
    await turn();
    await expect(early.settle()).rejects.toThrow("EIO");
  });
});
