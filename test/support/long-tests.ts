import { test } from "vitest";

/**
 * Why a test in the VM that takes minutes and seldom breaks is left out. Undefined: it is run. `.ci/run` leaves such
 * tests to `npm run matrix`.
 */
export const leftOut: string | undefined =
  process.env.LONG_TESTS === "elsewhere" ? "npm run matrix runs it" : undefined;

/** A title with that reason. */
export const titled = (title: string) => (leftOut === undefined ? title : `${title} (skipped: ${leftOut})`);

/** Such a test. */
export const testLong = (title: string, run: () => Promise<void>) =>
  test.skipIf(leftOut !== undefined)(titled(title), run);
