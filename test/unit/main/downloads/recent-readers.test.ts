import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRecentReaders } from "../../../../src/main/downloads/recent-readers.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("readers of one snapshot know of each other for a moment", () => {
  const readers = createRecentReaders(2_000);
  expect(readers.add("tank/v@s")).toBe(false);
  expect(readers.add("tank/v@t")).toBe(false);
  vi.advanceTimersByTime(1_999);
  expect(readers.add("tank/v@s")).toBe(true);
  vi.advanceTimersByTime(2_000);
  expect(readers.add("tank/v@s")).toBe(false);
});

test("a reader is remembered among thousands", () => {
  const readers = createRecentReaders(2_000);
  readers.add("tank/v@s");
  for (let index = 0; index < 5_000; index++) readers.add(`tank/v@${index}`);
  expect(readers.add("tank/v@s")).toBe(true);
});
