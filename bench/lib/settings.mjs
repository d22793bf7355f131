// @ts-check

/**
 * @typedef {object} Settings
 * @property {number} seconds length of one run
 * @property {number} runs
 * @property {boolean} full soak and overload at full length
 * @property {boolean} brief less of everything, to see that a bench runs; its figures mean nothing
 * @property {number} soakSeconds
 * @property {number} overloadSeconds
 */

const DEFAULT_SECONDS = 5;

/** @param {string} name @param {number} otherwise */
function numberFrom(name, otherwise) {
  const text = process.env[name];
  const value = text ? Number(text) : otherwise;
  if (!(value > 0)) throw new Error(`${name}=${text}: expected a number above 0`);
  return value;
}

/** Reads the variables that run.mjs lists. @returns {Settings} */
export function readSettings() {
  const seconds = numberFrom("BENCH_SECONDS", DEFAULT_SECONDS);
  const brief = seconds < DEFAULT_SECONDS;
  const full = process.env.BENCH_FULL === "1";
  return {
    seconds,
    runs: numberFrom("BENCH_RUNS", brief ? 1 : 3),
    full,
    brief,
    soakSeconds: brief ? seconds * 6 : full ? 600 : 30,
    overloadSeconds: brief ? seconds * 2 : full ? 60 : 10,
  };
}
