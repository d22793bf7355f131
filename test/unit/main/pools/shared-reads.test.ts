import { describe, expect, test } from "vitest";
import { createSharedReads } from "../../../../src/main/pools/shared-reads.js";
import { limitReached, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Reads whose runs end when `endOldest` is called. Each answers with its number, from 1. */
function shared(most = 100) {
  const ends: (() => void)[] = [];
  const begun: Operation[] = [];
  const reads = createSharedReads(
    <T>(operation: Operation) =>
      new Promise<Outcome<T>>((resolve) => {
        const number = begun.push(operation);
        ends.push(() => resolve(succeed(number as T)));
      }),
    most,
  );
  const read = (operation: Operation) => reads.read<number>(operation) as Promise<Outcome<number>>;
  return { reads, read, begun, endOldest: () => ends.shift()?.() };
}

const volumes: Operation = { op: "ListVolumes" };
const below = (root: string): Operation => ({ op: "ListSnapshots", root: root as DatasetName });

describe("lists that wait at the same moment", () => {
  test("share a run if they ask for the same, which begins when the one before it has ended", async () => {
    const { read, begun, endOldest } = shared();
    const first = [read(volumes), read(volumes)];
    await turn();
    expect(begun.length).toBe(1);
    const late = [read(volumes), read(volumes)];
    await turn();
    late.push(read(volumes));
    await turn();
    expect(begun.length).toBe(1);
    endOldest();
    await turn();
    expect(begun.length).toBe(2);
    endOldest();
    expect(await Promise.all(first)).toEqual([succeed(1), succeed(1)]);
    expect(await Promise.all(late)).toEqual([succeed(2), succeed(2), succeed(2)]);
  });

  test("share nothing with another page of the same list", async () => {
    const { read, begun, endOldest } = shared();
    const pages = [{}, { limit: 2 }, { limit: 2, after: "tank/a" }, { limit: 2, after: "tank/b" }];
    const answers = pages.map((page) => read({ ...volumes, ...page }));
    await turn();
    expect(begun).toEqual(pages.map((page) => ({ ...volumes, ...page })));
    for (const _ of pages) endOldest();
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4].map(succeed));
  });

  test("run four at once if they differ, in the order in which they came", async () => {
    const { read, begun, endOldest } = shared();
    const roots = ["a", "b", "c", "d", "e", "f"];
    const answers = roots.map((root) => read(below(root)));
    await turn();
    expect(begun.length).toBe(4);
    for (let ended = 0; ended < roots.length; ended++) {
      endOldest();
      await turn();
    }
    expect(begun).toEqual(roots.map(below));
    expect(await Promise.all(answers)).toEqual([1, 2, 3, 4, 5, 6].map(succeed));
  });

  test("are refused when too many different ones wait", async () => {
    const { read } = shared(2);
    void read(below("a"));
    void read(below("b"));
    expect(await read(below("c"))).toEqual(limitReached("limits.mailbox", "at most 2 pending operations"));
  });
});

test("GetPool waits for no list", async () => {
  const { read, begun } = shared();
  for (const root of ["a", "b", "c", "d", "e"]) void read(below(root));
  void read({ op: "GetPool" });
  await turn();
  expect(begun.map(({ op }) => op).sort()).toEqual(["GetPool", ...Array(4).fill("ListSnapshots")]);
});

test("changes and look-ups of one dataset are not shared", () => {
  const { reads } = shared();
  const name = "tank/v" as DatasetName;
  expect(reads.read({ op: "GetVolume", name })).toBe(undefined);
  expect(reads.read({ op: "DeleteDataset", name })).toBe(undefined);
});
