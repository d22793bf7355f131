import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { OutsideChange } from "../../../../src/protocol/storage/outside-change.js";
import { createToldChanges } from "../../../../src/workers/actor/told-changes.js";

const MISSED = { topic: "pool", action: "changed", id: "tank", what: "missed" };
const change = (action: OutsideChange["action"], id = "tank/v"): OutsideChange => ({
  topic: "volume",
  action,
  id,
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function open() {
  const sent: (readonly OutsideChange[])[] = [];
  return { told: createToldChanges("tank", (changes) => void sent.push(changes)), sent };
}

test("changes of one moment go together in their order, and what is told twice is told once", () => {
  const { told, sent } = open();
  for (const action of ["created", "changed", "changed"] as const) told.add(change(action));
  told.add(change("changed", "tank/w"));
  told.add(change("deleted", "tank/w"));
  told.add(change("deleted"));
  told.add(change("created"));
  vi.advanceTimersByTime(100);
  expect(sent).toEqual([[change("deleted", "tank/w"), change("deleted"), change("created")]]);
  told.add(change("changed"));
  vi.advanceTimersByTime(100);
  expect(sent[1]).toEqual([change("changed")]);
});

test("of a storm some are told, and that others were not", () => {
  const { told, sent } = open();
  for (let index = 0; index < 10_000; index++) told.add(change("created", `tank/${index}`));
  vi.advanceTimersByTime(100);
  expect(sent).toHaveLength(1);
  expect(sent[0]).toHaveLength(257);
  expect(sent[0]?.at(-1)).toEqual(MISSED);
});

test("that some were missed is told at once, then every 5 s at most, and not forgotten", () => {
  const { told, sent } = open();
  for (let ms = 0; ms < 12_000; ms += 50) {
    told.miss();
    vi.advanceTimersByTime(50);
  }
  expect(sent).toEqual([[MISSED], [MISSED], [MISSED]]);
  vi.advanceTimersByTime(10_000);
  expect(sent).toHaveLength(4);
  vi.advanceTimersByTime(60_000);
  expect(sent).toHaveLength(4);
});

test("changes don't wait for what is told later", () => {
  const { told, sent } = open();
  told.miss();
  vi.advanceTimersByTime(100);
  told.miss();
  told.add(change("created"));
  vi.advanceTimersByTime(100);
  expect(sent[1]).toEqual([change("created")]);
  vi.advanceTimersByTime(5_000);
  expect(sent[2]).toEqual([MISSED]);
});
