import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DatasetName } from "../../../../src/protocol/storage/names.js";
import { createDatasetLocks, type LockRequest } from "../../../../src/workers/actor/dataset-locks.js";

const NAMES = ["t", "t/a", "t/a/b", "t/a/b/c", "t/a!", "t/ab", "t/b", "t/b/a"];

const name = (text: string) => text as DatasetName;

/** Whether two requests must not be granted at once, by the meaning of the modes. */
function conflict(one: LockRequest, other: LockRequest): boolean {
  const below = (inner: string, outer: string) => inner === outer || inner.startsWith(`${outer}/`);
  if (one.mode === "tree" && below(other.name, one.name)) return true;
  if (other.mode === "tree" && below(one.name, other.name)) return true;
  const excluding = [one.mode, other.mode].filter((mode) => mode === "one" || mode === "part");
  return one.name === other.name && excluding.length === 2 && excluding.includes("one");
}

const conflicts = (some: readonly LockRequest[], others: readonly LockRequest[]) =>
  some.some((one) => others.some((other) => conflict(one, other)));

const lockRequest: fc.Arbitrary<LockRequest> = fc.record({
  name: fc.constantFrom(...NAMES).map(name),
  mode: fc.constantFrom("keep", "part", "one", "tree"),
});

/** Lets every promise that can settle do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Holder {
  readonly requests: readonly LockRequest[];
  leave(): void;
}

describe("dataset locks", () => {
  test("never grant two conflicting requests at once, and grant every request", async () => {
    const several = fc.array(lockRequest, { minLength: 1, maxLength: 3 });
    const step = fc.oneof(
      several.map((requests) => ({ ask: requests })),
      fc.nat().map((leave) => ({ leave })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const locks = createDatasetLocks();
        const holders: Holder[] = [];
        const runs: Promise<unknown>[] = [];
        const enter = (requests: readonly LockRequest[]) =>
          locks.with(requests, () => {
            for (const other of holders) expect(conflicts(requests, other.requests)).toBe(false);
            return new Promise<void>((leave) => {
              holders.push({ requests, leave });
            });
          });
        const leaveOne = (choice: number) => {
          const [holder] = holders.splice(choice % holders.length, 1);
          holder?.leave();
        };
        let asked = 0;
        for (const each of steps) {
          if ("ask" in each) {
            asked++;
            runs.push(enter(each.ask));
          } else if (holders.length > 0) leaveOne(each.leave);
          await settle();
        }
        for (let left = asked; left > 0 && holders.length > 0; left--) {
          leaveOne(left);
          await settle();
        }
        expect(holders).toEqual([]);
        // This settles only if every request was granted.
        await Promise.all(runs);
        expect(locks.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("grant at once what has no conflict", async () => {
    const several = fc.array(lockRequest, { minLength: 1, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(several, several, async (first, second) => {
        const locks = createDatasetLocks();
        const entered: number[] = [];
        const leave: (() => void)[] = [];
        const runs = [first, second].map((requests, index) =>
          locks.with(requests, () => {
            entered.push(index);
            return new Promise<void>((resolve) => leave.push(resolve));
          }),
        );
        await settle();
        expect(entered.length).toBe(conflicts(first, second) ? 1 : 2);
        leave.shift()?.();
        await settle();
        expect(entered.length).toBe(2);
        leave.shift()?.();
        await Promise.all(runs);
      }),
    );
  });

  test("give a tree its turn although sharers never stop coming", async () => {
    const locks = createDatasetLocks();
    const order: string[] = [];
    const leave: (() => void)[] = [];
    const share = (label: string) =>
      locks.with([{ name: name("t/a/b"), mode: "keep" }], () => {
        order.push(label);
        return new Promise<void>((resolve) => leave.push(resolve));
      });
    const runs: Promise<unknown>[] = [share("early 1"), share("early 2")];
    await settle();
    runs.push(
      locks.with([{ name: name("t/a"), mode: "tree" }], async () => {
        order.push("tree");
      }),
    );
    // If these could join the early sharers, the tree would never be granted.
    for (let late = 1; late <= 20; late++) {
      runs.push(share(`late ${late}`));
      await settle();
      if (late === 2) for (const each of leave.splice(0)) each();
    }
    await settle();
    expect(order.slice(0, 3)).toEqual(["early 1", "early 2", "tree"]);
    for (const each of leave.splice(0)) each();
    await settle();
    for (const each of leave.splice(0)) each();
    await Promise.all(runs);
    expect(order.length).toBe(23);
  });

  test("let those who wait for one dataset in as they came", async () => {
    const locks = createDatasetLocks();
    const order: number[] = [];
    const modes = ["one", "tree", "one", "one", "tree"] as const;
    await Promise.all(
      modes.map((mode, index) =>
        locks.with([{ name: name("t/a"), mode }], async () => {
          await settle();
          order.push(index);
        }),
      ),
    );
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  test("are given back when the work throws, and the error comes through", async () => {
    const locks = createDatasetLocks();
    const failing = locks.with([{ name: name("t/a"), mode: "tree" }], () =>
      Promise.reject(new Error("boom")),
    );
    await expect(failing).rejects.toThrow("boom");
    expect(locks.size).toBe(0);
    await expect(locks.with([{ name: name("t"), mode: "tree" }], async () => "in")).resolves.toBe("in");
  });

  test("pass the answer of the work on", async () => {
    await expect(createDatasetLocks().with([], async () => 7)).resolves.toBe(7);
  });

  test("may be asked for the same dataset twice in one request", async () => {
    const locks = createDatasetLocks();
    const twice = (["one", "one", "tree", "keep"] as const).map((mode) => ({ name: name("t/a"), mode }));
    await expect(locks.with(twice, async () => "in")).resolves.toBe("in");
    expect(locks.size).toBe(0);
  });

  test("take little time without contention", async () => {
    const locks = createDatasetLocks();
    const startedAt = performance.now();
    for (let round = 0; round < 10_000; round++) {
      await locks.with([{ name: name(`t/guests/g${round % 7}/disk-0`), mode: "one" }], async () => {});
    }
    const runs = Array.from({ length: 10_000 }, (_, index) =>
      locks.with([{ name: name(`t/guests/g${index}`), mode: "tree" }], settle),
    );
    await Promise.all(runs);
    // This would take minutes with a lock whose cost grows with its capacity.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(locks.size).toBe(0);
  });
});
