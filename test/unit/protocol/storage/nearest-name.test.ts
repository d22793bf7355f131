import { expect, test } from "vitest";
import { nearestName, unknownName } from "../../../../src/protocol/storage/nearest-name.js";

const KNOWN = ["size", "id", "pool", "destroyMoreRecent", "serve"];

test.each([
  ["sise", "size"],
  ["Size", "size"],
  ["siez", "size"],
  ["sevre", "serve"],
  ["destroyMoreRecents", "destroyMoreRecent"],
  ["poool", "pool"],
  ["volume", undefined],
  ["x".repeat(1_000_000), undefined],
  ["", undefined],
])("%s is probably %s", (name, expected) => {
  expect(nearestName(name.slice(0, 1_000_000), KNOWN)).toBe(expected);
});

test("what is near to nothing is answered with all that is known", () => {
  expect(unknownName("volume", ["id", "size"])).toBe("known are id, size");
  expect(unknownName("sise", ["id", "size"])).toBe("did you mean size?");
});
