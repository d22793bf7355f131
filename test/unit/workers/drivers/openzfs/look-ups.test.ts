import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { succeed } from "../../../../../src/protocol/storage/failures.js";
import type { PoolState } from "../../../../../src/protocol/storage/txg-history.js";
import type { AnyName } from "../../../../../src/workers/drivers/driver.js";
import { SIZES } from "../../../../../src/workers/drivers/openzfs/look-up-program.js";
import { createLookUps } from "../../../../../src/workers/drivers/openzfs/look-ups.js";
import type { CommandEnd } from "../../../../../src/workers/processes/run-command.js";
import { turn } from "../../../../support/until.js";

const NAMES_PER_COMMAND = 3;
const name = (text: string) => text as AnyName;

/**
 * A pool of volumes that are told apart by their sizes. It can be changed while others look
 * at it: a change is seen by a list before the group it is part of is committed.
 */
function createPool() {
  const sizes = new Map<string, number>();
  const lists: string[][] = [];
  let state = 1;
  let isInMotion = false;
  let isBroken = false;
  let readings = 0;
  let pause = async () => {};

  const { find: ask } = createLookUps({
    library: { isOpen: false, find: async () => undefined },
    namesPerCommand: NAMES_PER_COMMAND,
    async list(args): Promise<CommandEnd> {
      const names = args.slice(args.indexOf("-o") + 2);
      lists.push(names);
      await pause();
      const end = { argv: [], exit: { kind: "exited", code: 0 } as const, ms: 1 };
      const shown = names.filter((each) => sizes.has(each));
      const stdout = shown.map((each) => `${each}\tvolume\t1\t2\t${sizes.get(each)}\t0\t-\n`).join("");
      if (isBroken)
        return { ...end, stdout, stderr: "cannot open: out of memory\n", exit: { kind: "exited", code: 1 } };
      const stderr = names
        .filter((each) => !sizes.has(each))
        .map((each) => `cannot open '${each}': dataset does not exist\n`)
        .join("");
      await pause();
      return { ...end, stdout, stderr, exit: { kind: "exited", code: stderr === "" ? 0 : 1 } };
    },
    async poolState() {
      readings++;
      const seen = isInMotion ? undefined : (String(state) as PoolState);
      await pause();
      return seen;
    },
  });

  return {
    lists,
    get readings() {
      return readings;
    },
    sizes,
    begin: () => {
      isInMotion = true;
    },
    commit: () => {
      state++;
      isInMotion = false;
    },
    change(each: string, size: number) {
      this.begin();
      sizes.set(each, size);
      this.commit();
    },
    breakDown: (broken: boolean) => {
      isBroken = broken;
    },
    slow: (how: () => Promise<void>) => {
      pause = how;
    },
    /** @returns its size, undefined when it is missing, the failure's code when it could not be told. */
    async size(each: string): Promise<bigint | string | undefined> {
      const found = await ask(name(each));
      return found.ok ? found.value?.volsize : found.failure.code;
    },
  };
}

describe("look-ups", () => {
  test("of what is known are answered without a process while the pool does not change", async () => {
    const pool = createPool();
    pool.sizes.set("a", 1);
    const ask = () => Promise.all(["a", "none", "a"].map((each) => pool.size(each)));
    expect(await ask()).toEqual([1n, undefined, 1n]);
    expect(await ask()).toEqual([1n, undefined, 1n]);
    expect(pool.lists).toEqual([["a", "none"]]);
    expect(await Promise.all([pool.size("a"), pool.size("b")])).toEqual([1n, undefined]);
    expect(pool.lists).toEqual([["a", "none"], ["b"]]);
  });

  test("that wait at one moment read the pool's state once", async () => {
    const pool = createPool();
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => pool.size(`v${index % 10}`)));
    expect(pool.readings).toBe(1);
    expect(pool.lists.map((names) => names.length)).toEqual([3, 3, 3, 1]);
  });

  test("are made again after a change", async () => {
    const pool = createPool();
    expect(await pool.size("a")).toBeUndefined();
    pool.change("a", 1);
    expect(await pool.size("a")).toBe(1n);
    pool.change("b", 1);
    expect(await pool.size("a")).toBe(1n);
    expect(pool.lists).toHaveLength(3);
  });

  test("are all made while a change is on its way, and none of them is remembered", async () => {
    const pool = createPool();
    pool.begin();
    expect(await pool.size("a")).toBeUndefined();
    pool.sizes.set("a", 1);
    expect(await pool.size("a")).toBe(1n);
    pool.commit();
    expect(await pool.size("a")).toBe(1n);
    expect(pool.lists).toHaveLength(3);
  });

  test("that fail are told to who asked, and are made again", async () => {
    const pool = createPool();
    pool.sizes.set("a", 1);
    pool.breakDown(true);
    expect(await Promise.all([pool.size("a"), pool.size("b")])).toEqual([1n, "command.failed"]);
    pool.breakDown(false);
    expect(await Promise.all([pool.size("a"), pool.size("b")])).toEqual([1n, undefined]);
    expect(pool.lists).toEqual([["a", "b"], ["b"]]);
  });

  test("of ever new names are not all remembered", async () => {
    const pool = createPool();
    const ask = (from: number) =>
      Promise.all(Array.from({ length: 3_000 }, (_, index) => pool.size(`none${from + index}`)));
    for (let from = 0; from < 30_000; from += 3_000) await ask(from);
    const before = pool.lists.length;
    await ask(0);
    expect(pool.lists.length - before).toBe(1_000);
  });

  test("never answer what was so before the question was asked, however they and changes cross", async () => {
    const names = ["a", "b", "c"];
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...names).map((each) => ({ ask: each })) },
      { weight: 1, arbitrary: fc.constantFrom(...names).map((each) => ({ begin: each })) },
      { weight: 1, arbitrary: fc.constant("commit" as const) },
      { weight: 2, arbitrary: fc.constant("turn" as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.array(fc.nat(3)), async (steps, pauses) => {
        const pool = createPool();
        let paused = 0;
        pool.slow(async () => {
          for (let left = pauses[paused++ % (pauses.length || 1)] ?? 0; left > 0; left--) await turn();
        });
        let size = 0;
        const answers: Promise<void>[] = [];
        /** What each shows now; a change that is on its way is seen already. */
        const now = (each: string) => pool.sizes.get(each) ?? 0;
        for (const each of steps) {
          if (each === "turn") await turn();
          else if (each === "commit") pool.commit();
          else if ("begin" in each) {
            pool.begin();
            pool.sizes.set(each.begin, ++size);
          } else {
            const asked = now(each.ask);
            answers.push(
              pool.size(each.ask).then((answer) => {
                // Sizes only grow: an older answer is a smaller one.
                expect(Number(answer ?? 0)).toBeGreaterThanOrEqual(asked);
                expect(Number(answer ?? 0)).toBeLessThanOrEqual(now(each.ask));
              }),
            );
          }
        }
        await Promise.all(answers);
      }),
      { numRuns: 500 },
    );
  });

  describe("where the library answers", () => {
    /** @returns the programs that were called, with their names; `isOpen` and `answers` say what it does. */
    function createLibrary(answers = true) {
      const asked: string[] = [];
      const lists: string[] = [];
      const { find, findSize } = createLookUps({
        library: {
          isOpen: true,
          async find(program, names) {
            asked.push(`${program === (SIZES as unknown) ? "sizes" : "all"} ${names.join(" ")}`);
            const row = (each: AnyName) =>
              program.rowOf(
                each,
                program === (SIZES as unknown) ? ["volume", "7"] : ["volume", "1", "7", "0", "-"],
              );
            return answers ? new Map(names.map((each) => [each, succeed(row(each))])) : undefined;
          },
        },
        namesPerCommand: NAMES_PER_COMMAND,
        async list(args) {
          const names = args.slice(args.indexOf("-o") + 2);
          lists.push(names.join(" "));
          const stdout = names.map((each) => `${each}\tvolume\t1\t2\t7\t0\t-\n`).join("");
          return { argv: [], exit: { kind: "exited", code: 0 }, ms: 1, stdout, stderr: "" };
        },
        poolState: async () => "1" as PoolState,
      });
      return { asked, lists, find, findSize };
    }

    test("a size is asked for alone, once, and many of them share a call", async () => {
      const { asked, find, findSize } = createLibrary();
      const [size, all] = await Promise.all([findSize(name("a")), find(name("b")), findSize(name("c"))]);
      expect(size).toEqual({ ok: true, value: { name: "a", type: "volume", size: 7n } });
      expect(all).toMatchObject({ ok: true, value: { name: "b", guid: "1", volsize: 7n } });
      await findSize(name("a"));
      expect(asked.sort()).toEqual(["all b", "sizes a c"]);
    });

    test("what it does not answer is listed, and then known", async () => {
      const { asked, lists, findSize } = createLibrary(false);
      expect(await findSize(name("a"))).toEqual({ ok: true, value: { name: "a", type: "volume", size: 7n } });
      await findSize(name("a"));
      expect(asked).toEqual(["sizes a"]);
      expect(lists).toEqual(["a"]);
    });
  });
});
