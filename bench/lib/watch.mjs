// @ts-check
import { descriptorsOf, rssMib, threadsOf } from "./process.mjs";
import { median, slope } from "./statistics.mjs";

const SAMPLE_MS = 1_000;
const SECONDS_PER_MINUTE = 60;

/** @typedef {"rssMib" | "descriptors" | "threads"} Quantity */

/**
 * Watches memory, descriptors and threads of a process.
 * @typedef {object} Watch
 * @property {() => Samples} stop
 *
 * @typedef {object} Samples
 * @property {number[]} seconds when each sample was taken
 * @property {Record<Quantity, number[]>} values
 * @property {(quantity: Quantity) => { begin: number, end: number, highest: number, perMinute: number }} trend
 *   leaves out the first fifth, in which a process grows to its working size; `begin` and `end` are the medians of the
 *   first and the last tenth of the rest, `perMinute` is its slope. `highest` is of all samples.
 */

/** Samples a process once a second. @param {import("./releasers.mjs").Releasers} releasers @param {number} pid @returns {Watch} */
export function watchProcess(releasers, pid) {
  /** @type {number[]} */
  const seconds = [];
  /** @type {Record<Quantity, number[]>} */
  const values = { rssMib: [], descriptors: [], threads: [] };
  const startedAt = performance.now();
  const sample = () => {
    seconds.push((performance.now() - startedAt) / 1000);
    values.rssMib.push(rssMib(pid));
    values.descriptors.push(descriptorsOf(pid));
    values.threads.push(threadsOf(pid));
  };
  const timer = setInterval(sample, SAMPLE_MS);
  releasers.defer(() => clearInterval(timer));
  return {
    stop: () => {
      clearInterval(timer);
      sample();
      return { seconds, values, trend: (quantity) => trendOf(seconds, values[quantity]) };
    },
  };
}

/** @param {readonly number[]} seconds @param {readonly number[]} values */
function trendOf(seconds, values) {
  const from = Math.floor(values.length / 5);
  const steady = values.slice(from);
  const tenth = Math.max(1, Math.floor(steady.length / 10));
  return {
    begin: median(steady.slice(0, tenth)),
    end: median(steady.slice(-tenth)),
    highest: Math.max(...values),
    perMinute: slope(seconds.slice(from), steady) * SECONDS_PER_MINUTE,
  };
}
