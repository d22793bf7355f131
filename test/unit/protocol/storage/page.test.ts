import fc from "fast-check";
import { expect, test } from "vitest";
import { makePage, pageOf } from "../../../../src/protocol/storage/page.js";

interface Item {
  readonly id: string;
}
const idOf = ({ id }: Item) => id;
const itemsOf = fc
  .uniqueArray(fc.string({ minLength: 1 }), { maxLength: 40 })
  .map((ids) => ids.map((id) => ({ id })));

/** All pages of a list that `change` gives anew for each. */
function allPages(limit: number, list: (page: number) => readonly Item[]): Item[] {
  const seen: Item[] = [];
  for (let number = 0; ; number++) {
    const after = seen.at(-1)?.id;
    const page = pageOf(list(number), idOf, after === undefined ? { limit } : { limit, after });
    seen.push(...page);
    if (page.length < limit) return seen;
  }
}

test("without limit and after, a list is as it was", () => {
  fc.assert(fc.property(itemsOf, (items) => void expect(pageOf(items, idOf, {})).toBe(items)));
});

test("the pages of a list, one after another, are the whole list, sorted", () => {
  fc.assert(
    fc.property(itemsOf, fc.integer({ min: 1, max: 50 }), (items, limit) => {
      const sorted = items.map(idOf).sort();
      expect(allPages(limit, () => items).map(idOf)).toEqual(sorted);
    }),
  );
});

test("what stays while others come and go is on exactly one page", () => {
  fc.assert(
    fc.property(
      itemsOf,
      itemsOf,
      fc.integer({ min: 1, max: 9 }),
      fc.func(fc.boolean()),
      (stay, others, limit, isThere) => {
        const staying = new Set(stay.map(idOf));
        const passing = others.filter(({ id }) => !staying.has(id));
        const seen = allPages(limit, (page) => [
          ...passing.filter(({ id }) => isThere(id, page)),
          ...stay,
        ]).map(idOf);
        expect(new Set(seen).size).toBe(seen.length);
        for (const id of staying) expect(seen).toContain(id);
      },
    ),
  );
});

test("0 and an empty text stand for no limit and no beginning; more than a list can have is no limit", () => {
  expect(makePage({ limit: 0n, after: "" })).toEqual({});
  expect(makePage({ limit: 5n, after: "a" })).toEqual({ limit: 5, after: "a" });
  expect(makePage({ limit: 2n ** 64n - 1n, after: "" })).toEqual({ limit: Number.MAX_SAFE_INTEGER });
});
