import { describe, expect, test } from "vitest";
import { createFairScheduler } from "../../../../src/main/downloads/fair-scheduler.js";
import { turn, until } from "../../../support/until.js";

/** Work of `amount` in steps of one, that notes when it got a step. */
function work(name: string, amount: number, log: string[]): () => number {
  let left = amount;
  return () => {
    if (left === 0) return 0;
    left--;
    log.push(name);
    return 1;
  };
}

describe("work in turns", () => {
  test("is done at once while there is room, and then a step for each before one gets another", async () => {
    const log: string[] = [];
    const scheduler = createFairScheduler(4);
    scheduler.add(work("x", 4, log));
    expect(log.join("")).toBe("xxxx");
    log.length = 0;
    for (const [name, amount] of [
      ["a", 3],
      ["b", 1],
      ["c", 2],
    ] as const)
      scheduler.add(work(name, amount, log));
    expect(log).toEqual([]);
    await until("it is done", () => log.length === 6);
    expect(log.join("")).toBe("abcaca");
  });

  test("leaves the event loop its turn when a turn's limit is reached", async () => {
    const log: string[] = [];
    const scheduler = createFairScheduler(10);
    scheduler.add(work("a", 35, log));
    const seen = [log.length];
    while (log.length < 35) {
      await turn();
      seen.push(log.length);
    }
    expect(seen).toEqual([10, 20, 30, 35]);
  });

  test("goes on after a step that throws", async () => {
    const log: string[] = [];
    const scheduler = createFairScheduler(100);
    const bug = () => {
      throw new Error("a bug");
    };
    expect(() => scheduler.add(bug)).toThrow("a bug");
    scheduler.add(work("a", 2, log));
    await until("it is done", () => log.length === 2);
  });

  test("what is added while it waits, or adds itself, is not done twice", async () => {
    const log: string[] = [];
    const scheduler = createFairScheduler(100);
    const step = work("a", 2, log);
    for (let index = 0; index < 5; index++) scheduler.add(step);
    await until("it is done", () => log.length === 2);
    await turn();
    expect(log).toEqual(["a", "a"]);
  });
});
