import { describe, expect, test } from "vitest";
import {
  createHostMemory,
  giveBackSlots,
  openHostSlots,
} from "../../../../src/protocol/threads/host-slots.js";
import { turn, until } from "../../../support/until.js";

const { signal } = new AbortController();

describe("places at a host", () => {
  test("are as many as the limit for all threads together, and those who wait get them in order", async () => {
    const all = createHostMemory();
    const [one, other] = [createHostMemory(), createHostMemory()].map((own) => openHostSlots(all, own, 2));
    if (!one || !other) throw new Error("two were opened");
    const first = await one.take("a:80", signal);
    await other.take("a:80", signal);
    const order: number[] = [];
    const waiting = [1, 2].map((number) =>
      one.take("a:80", signal).then((release) => {
        order.push(number);
        return release;
      }),
    );
    await (await one.take("b:80", signal))();
    await turn();
    expect(order).toEqual([]);
    first();
    first();
    const release = await waiting[0];
    await turn();
    expect(order).toEqual([1]);
    release?.();
    await waiting[1];
    expect(order).toEqual([1, 2]);
  });

  test("that another thread gives back are seen, and so are those of one that has crashed", async () => {
    const all = createHostMemory();
    const crashed = createHostMemory();
    const [one, other] = [openHostSlots(all, createHostMemory(), 2), openHostSlots(all, crashed, 2)];
    const release = await other.take("a:80", signal);
    await other.take("a:80", signal);
    let got = 0;
    const waiting = [one.take("a:80", signal), one.take("a:80", signal)];
    for (const each of waiting) void each.then(() => got++);
    release();
    await until("one has got a place", () => got === 1);
    giveBackSlots(all, crashed);
    await until("both have", () => got === 2);
    expect([...new Int32Array(crashed)].every((count) => count === 0)).toBe(true);
    for (const each of waiting) (await each)();
    expect([...new Int32Array(all)].every((count) => count === 0)).toBe(true);
  });

  test("are no longer waited for by who is given up", async () => {
    const all = createHostMemory();
    const slots = openHostSlots(all, createHostMemory(), 1);
    const release = await slots.take("a:80", signal);
    const giveUp = new AbortController();
    const waiting = slots.take("a:80", giveUp.signal);
    giveUp.abort(new Error("given up"));
    await expect(waiting).rejects.toThrow("given up");
    await expect(slots.take("a:80", giveUp.signal)).rejects.toThrow("given up");
    release();
    (await slots.take("a:80", signal))();
    expect([...new Int32Array(all)].every((count) => count === 0)).toBe(true);
  });
});
