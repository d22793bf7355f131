import { describe, expect, test } from "vitest";
import { createKeptAnswers, createWitnessedAnswers } from "../../../../src/main/pools/kept-answers.js";
import { failed, succeed } from "../../../../src/protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import type { Operation } from "../../../../src/protocol/storage/operations.js";
import { createChangeMemory, openChangeCounter } from "../../../../src/protocol/threads/change-counter.js";

const snapshot = (name = "tank/v@s"): Operation => ({ op: "GetSnapshot", name: name as SnapshotName });
const volume: Operation = { op: "GetVolume", name: "tank/v" as DatasetName };

function counted() {
  const counter = openChangeCounter(createChangeMemory());
  counter.count();
  return { counter, kept: createKeptAnswers(counter) };
}

describe("an answer to a look-up", () => {
  test("is kept while nothing changes, for the same question alone", async () => {
    const { counter, kept } = counted();
    const answer = succeed({ written: 1n });
    expect(kept.find(snapshot())).toBeUndefined();
    expect(await kept.ask(snapshot(), async () => answer)).toBe(answer);
    expect(kept.find(snapshot())).toBe(answer);
    expect([kept.find(snapshot("tank/v@t")), kept.find(volume)]).toEqual([undefined, undefined]);
    counter.count();
    expect(kept.find(snapshot())).toBeUndefined();
  });

  test("is not kept if something changed while it was on its way", async () => {
    const { counter, kept } = counted();
    await kept.ask(snapshot(), async () => {
      counter.count();
      return succeed(1);
    });
    expect(kept.find(snapshot())).toBeUndefined();
  });

  test("is kept if it is that there is no such dataset, and not if it is another failure", async () => {
    const { kept } = counted();
    await kept.ask(snapshot(), async () => failed.notFound);
    await kept.ask(volume, async () => failed.interrupted);
    expect(kept.find(snapshot())).toBe(failed.notFound);
    expect(kept.find(volume)).toBeUndefined();
  });

  test("is not kept of a pool whose changes are not counted, nor of a list", async () => {
    const uncounted = createKeptAnswers(openChangeCounter(createChangeMemory()));
    await uncounted.ask(snapshot(), async () => succeed(1));
    expect(uncounted.find(snapshot())).toBeUndefined();
    const { kept } = counted();
    const list: Operation = { op: "ListVolumes" };
    await kept.ask(list, async () => succeed([]));
    expect(kept.find(list)).toBeUndefined();
  });

  test("is one of 10,000 at most", async () => {
    const { kept } = counted();
    for (let index = 0; index <= 10_000; index++)
      await kept.ask(snapshot(`tank/v@${index}`), async () => succeed(index));
    expect(kept.find(snapshot("tank/v@0"))).toBeUndefined();
    expect(kept.find(snapshot("tank/v@10000"))).toEqual(succeed(10_000));
  });
});

test("a counter that wraps never tells that changes are not counted", () => {
  const memory = createChangeMemory();
  const counter = openChangeCounter(memory);
  expect(counter.value).toBeUndefined();
  new Int32Array(memory)[0] = -2;
  const seen = [counter.value];
  for (let times = 0; times < 2; times++) {
    counter.count();
    seen.push(counter.value);
  }
  expect(seen).toEqual([-2, -1, 1]);
});

describe("an answer about a pool whose history tells changes", () => {
  /** A pool in a state that a test sets; `asked` counts the questions that its actor gets. */
  function witnessed() {
    const pool: { state: string | undefined; asked: number } = { state: "7", asked: 0 };
    const kept = createWitnessedAnswers({ now: async () => pool.state });
    const ask = (during = () => {}) =>
      kept.ask(snapshot(), async () => {
        pool.asked++;
        during();
        return succeed(pool.asked);
      });
    return { pool, ask };
  }

  test("is kept while the state is the same, also if the state is unknown in between", async () => {
    const { pool, ask } = witnessed();
    expect([await ask(), await ask()]).toEqual([succeed(1), succeed(1)]);
    pool.state = undefined;
    expect(await ask()).toEqual(succeed(2));
    pool.state = "7";
    expect(await ask()).toEqual(succeed(1));
    pool.state = "8";
    expect(await ask()).toEqual(succeed(3));
    pool.state = "7";
    expect(await ask()).toEqual(succeed(4));
  });

  test("is not kept if the state was another when it came, or unknown at either end", async () => {
    const { pool, ask } = witnessed();
    await ask(() => {
      pool.state = "8";
    });
    await ask(() => {
      pool.state = undefined;
    });
    await ask();
    pool.state = "8";
    expect(await ask()).toEqual(succeed(4));
    expect(await ask()).toEqual(succeed(4));
  });
});
