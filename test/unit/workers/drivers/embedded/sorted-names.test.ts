import fc from "fast-check";
import { expect, test } from "vitest";
import { createSortedNames } from "../../../../../src/workers/drivers/embedded/sorted-names.js";

const name = fc.string({ maxLength: 3 });
const step = fc.record({ name, isThere: fc.boolean() });

test("names that come and go stay in the order in which sort has them", () => {
  fc.assert(
    fc.property(fc.uniqueArray(name), fc.array(step, { maxLength: 60 }), name, (first, steps, start) => {
      const names = createSortedNames(first);
      const model = new Set(first);
      for (const { name, isThere } of steps) {
        if (!isThere) names.remove(name);
        else if (!model.has(name)) names.add(name);
        if (isThere) model.add(name);
        else model.delete(name);
      }
      expect([...names.from("")]).toEqual([...model].sort());
      expect([...names.from(start)]).toEqual([...model].filter((each) => each >= start).sort());
    }),
  );
});

test("tens of thousands come and go at all places", () => {
  const numbers = Array.from({ length: 20_000 }, (_, index) => (index * 7919) % 20_000);
  const textOf = (number: number) => `n${String(number).padStart(5, "0")}`;
  const names = createSortedNames([]);
  for (const number of numbers) names.add(textOf(number));
  const all = numbers.map(textOf).sort();
  expect([...names.from("")]).toEqual(all);
  for (const number of numbers) if (number % 10 !== 3) names.remove(textOf(number));
  expect([...names.from("")]).toEqual(all.filter((text) => text.endsWith("3")));
  expect([...names.from("n1")].length).toBe(1_000);
  for (const number of numbers) names.remove(textOf(number));
  expect([...names.from("")]).toEqual([]);
  names.add("again");
  expect([...names.from("")]).toEqual(["again"]);
});
