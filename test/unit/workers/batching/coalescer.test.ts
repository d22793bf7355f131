import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createCoalescer } from "../../../../src/workers/batching/coalescer.js";
import { turn } from "../../../support/until.js";

interface Run {
  readonly keys: readonly string[];
  readonly startedAt: number;
  end(): void;
  fail(error: Error): void;
}

/** A coalescer whose runs end when the test says so, and a clock of events. */
function controlled(atOnce = 1) {
  const runs: Run[] = [];
  let clock = 0;
  let underWay = 0;
  const ask = createCoalescer<string, { key: string; startedAt: number; run: number }>(atOnce, (keys) => {
    expect(++underWay).toBeLessThanOrEqual(atOnce);
    const startedAt = ++clock;
    const run = runs.length;
    return new Promise((resolve, reject) => {
      runs.push({
        keys,
        startedAt,
        end: () => {
          underWay--;
          resolve((key) => ({ key, startedAt, run }));
        },
        fail: (error) => {
          underWay--;
          reject(error);
        },
      });
    });
  });
  return { ask, runs, tick: () => ++clock };
}

describe("a coalescer", () => {
  test("never answers from a run that began before the question, and asks for each key once a run", async () => {
    const step = fc.oneof(
      fc.constantFrom("a", "b", "c").map((key) => ({ key })),
      fc.constantFrom("end" as const, "turn" as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.constantFrom(1, 2, 3), async (steps, atOnce) => {
        const { ask, runs, tick } = controlled(atOnce);
        const answers: Promise<void>[] = [];
        let ended = 0;
        const endOne = async () => {
          await turn();
          if (ended < runs.length) runs[ended++]?.end();
        };
        for (const each of steps) {
          if (each === "end") await endOne();
          else if (each === "turn") await turn();
          else {
            const askedAt = tick();
            answers.push(
              ask(each.key).then((answer) => {
                expect(answer.key).toBe(each.key);
                expect(answer.startedAt).toBeGreaterThan(askedAt);
                expect(runs[answer.run]?.keys).toContain(each.key);
              }),
            );
          }
        }
        for (let left = answers.length; left >= 0; left--) await endOne();
        await Promise.all(answers);
        for (const { keys } of runs) expect(new Set(keys).size).toBe(keys.length);
      }),
    );
  });

  test("joins all that wait: a thousand questions in one turn are one run, those behind it one more", async () => {
    const { ask, runs } = controlled();
    const first = Array.from({ length: 1_000 }, (_, index) => ask(`k${index % 10}`));
    await turn();
    const second = Array.from({ length: 1_000 }, (_, index) => ask(`k${index % 7}`));
    await turn();
    expect(runs.map(({ keys }) => keys.length)).toEqual([10]);
    runs[0]?.end();
    expect(new Set((await Promise.all(first)).map(({ run }) => run))).toEqual(new Set([0]));
    await turn();
    expect(runs.map(({ keys }) => keys.length)).toEqual([10, 7]);
    runs[1]?.end();
    expect(new Set((await Promise.all(second)).map(({ run }) => run))).toEqual(new Set([1]));
    await turn();
    expect(runs.length).toBe(2);
  });

  test("shares many keys among its runs, and asks for none of them twice", async () => {
    const { ask, runs } = controlled(2);
    const asked = Array.from({ length: 1_000 }, (_, index) => ask(`k${index % 100}`));
    await turn();
    expect(runs.map(({ keys }) => keys.length)).toEqual([50, 50]);
    expect(new Set(runs.flatMap(({ keys }) => keys)).size).toBe(100);
    for (const run of runs) run.end();
    const answers = await Promise.all(asked);
    expect(answers.map(({ key }) => key)).toEqual(answers.map((_, index) => `k${index % 100}`));
  });

  test("tells an error to all who waited for that run and to nobody else", async () => {
    const { ask, runs } = controlled();
    const first = [ask("a"), ask("b"), ask("a")];
    await turn();
    const second = ask("a");
    runs[0]?.fail(new Error("broken"));
    const settled = await Promise.allSettled(first);
    expect(settled.map((each) => (each.status === "rejected" ? String(each.reason) : "answered"))).toEqual(
      Array(3).fill("Error: broken"),
    );
    await turn();
    runs[1]?.end();
    await expect(second).resolves.toMatchObject({ run: 1 });
  });

  test("works on after a run that failed", async () => {
    let fails = true;
    const ask = createCoalescer<string, string>(1, async () => {
      if (fails) throw new Error("broken");
      return (key) => key;
    });
    await expect(ask("a")).rejects.toThrow("broken");
    fails = false;
    await expect(ask("a")).resolves.toBe("a");
  });
});
