import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createRepeatedCalls,
  KEY_MS,
  type KeyLine,
  MOST_KEYS,
} from "../../../../src/main/jobs/repeated-calls.js";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";

/** Calls with keys, and the changes that they have begun. `lines`: the file. */
function open(restored: readonly KeyLine[] = []) {
  const lines: KeyLine[] = [];
  const changes: ((outcome: Outcome<string>) => void)[] = [];
  const calls = createRepeatedCalls({ append: (line) => lines.push(line), synced: async () => {} });
  calls.restore(restored);
  const ask = async (key: string, fingerprint = "f", caller = "", repeatSafe = false) => {
    const asked = await calls.once({ caller, key, fingerprint, repeatSafe }, () => {
      const job = `job-${changes.length}`;
      return { job, result: new Promise((resolve) => changes.push(resolve)) };
    });
    return asked.ok ? asked.value.begun.result : asked;
  };
  return { calls, changes, lines, ask };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("requests with a key", () => {
  test("run once, however many there are, and all get its answer", async () => {
    const { ask, changes } = open();
    const asked = Array.from({ length: 50 }, () => ask("k"));
    await settled();
    expect(changes.length).toBe(1);
    changes[0]?.(succeed("answer"));
    expect(new Set((await Promise.all(asked)).map((each) => each.ok && each.value))).toEqual(
      new Set(["answer"]),
    );
    expect(await ask("k")).toEqual(succeed("answer"));
    expect(changes.length).toBe(1);
  });

  test("of other callers, and other keys, are others", async () => {
    const { ask, changes } = open();
    void ask("k", "f", "one");
    void ask("k", "f", "two");
    void ask("j", "f", "one");
    await settled();
    expect(changes.length).toBe(3);
  });

  test("that ask for something else are refused", async () => {
    const { ask } = open();
    void ask("k", "create v");
    expect(await ask("k", "delete v")).toMatchObject({
      failure: { code: "request.invalid", about: { field: "idempotencyKey" } },
    });
  });

  test("run again after a refusal, which changed nothing", async () => {
    const { ask, changes } = open();
    const first = ask("k");
    await settled();
    changes[0]?.(fail("pool.no_space", "full"));
    expect(await first).toMatchObject({ failure: { code: "pool.no_space" } });
    void ask("k");
    await settled();
    expect(changes.length).toBe(2);
  });

  test("are told that nobody knows, after an interruption, unless a repeat is safe", async () => {
    const { ask, changes } = open();
    const first = ask("k");
    await settled();
    changes[0]?.(fail("service.interrupted", "the actor has stopped"));
    await first;
    expect(await ask("k")).toMatchObject({ failure: { code: "service.interrupted" } });
    expect(changes.length).toBe(1);
    void ask("k", "f", "", true);
    await settled();
    expect(changes.length).toBe(2);
  });

  test("are known after a restart: what was done with its answer, what was under way as not known", async () => {
    const before = open();
    for (const key of ["done", "running", "refused", "long"]) void before.ask(key);
    await settled();
    before.changes[0]?.(succeed("answer"));
    before.changes[2]?.(fail("dataset.busy", "busy"));
    before.changes[3]?.(succeed("x".repeat(70_000)));
    await settled();
    // Of each key the last line counts.
    const last = [...new Map(before.lines.map((line) => [line.name, line])).values()];
    const after = open(last);
    expect(await after.ask("done")).toEqual(succeed("answer"));
    expect(await after.ask("running")).toMatchObject({ failure: { code: "service.interrupted" } });
    expect(await after.ask("long")).toMatchObject({ failure: { code: "service.reply_too_large" } });
    expect(after.changes.length).toBe(0);
    void after.ask("refused");
    await settled();
    expect(after.changes.length).toBe(1);
  });

  test("are forgotten after a day, the oldest of too many too, but none that runs", async () => {
    const line = (index: number): KeyLine => ({
      name: ` ${index}`,
      ...{ fingerprint: "f", job: "j", at: Date.now(), state: "done", answer: "a" },
    });
    const old = { ...line(0), at: Date.now() - KEY_MS };
    const { calls } = open([old, ...Array.from({ length: MOST_KEYS + 5 }, (_, index) => line(index + 1))]);
    const names = calls.lines().map(({ name }) => name);
    expect(names.length).toBe(MOST_KEYS);
    expect(names[0]).toBe(" 6");
  });

  test("never run twice at the same time or after a success, whatever the order", async () => {
    const step = fc.oneof(
      fc.constantFrom("a", "b", "c").map((key) => ({ key })),
      fc.record({ end: fc.nat(), isGood: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const running = new Map<string, (outcome: Outcome<string>) => void>();
        const done = new Set<string>();
        const calls = createRepeatedCalls({ append: () => {}, synced: async () => {} });
        for (const each of steps) {
          if ("key" in each) {
            const { key } = each;
            void calls.once({ caller: "", key, fingerprint: "f", repeatSafe: false }, () => {
              expect([running.has(key), done.has(key)]).toEqual([false, false]);
              return { job: key, result: new Promise((resolve) => running.set(key, resolve)) };
            });
          } else {
            const [key, end] = [...running][each.end % Math.max(1, running.size)] ?? [];
            if (key === undefined) continue;
            running.delete(key);
            if (each.isGood) done.add(key);
            end?.(each.isGood ? succeed(key) : fail("dataset.busy", "busy"));
          }
          await settled();
        }
      }),
      { numRuns: 50 },
    );
  });
});
