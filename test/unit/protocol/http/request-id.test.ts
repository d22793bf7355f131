import { expect, test } from "vitest";
import { createRequestIds } from "../../../../src/protocol/http/request-id.js";

test("ids of two daemons, and of one, are all different", () => {
  const daemons = [createRequestIds(), createRequestIds()];
  const ids = daemons.flatMap((next) => Array.from({ length: 1_000 }, () => next("")));
  expect(new Set(ids).size).toBe(2_000);
});

test.each(["a", "A-Za-z0-9", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "x".repeat(128)])(
  "%j is taken over",
  (given) => {
    expect(createRequestIds()(given)).toBe(given);
  },
);

test.each(["", " ", "a b", 'a"', "a\\b", "é", "\u0000", "a\n", "x".repeat(129)])("%j is not", (given) => {
  expect(createRequestIds()(given)).toMatch(/^[0-9a-f]{12}-1$/);
});
