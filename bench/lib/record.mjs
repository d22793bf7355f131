// @ts-check
import { median } from "./statistics.mjs";

/**
 * A quantity that was measured, with every single run of it.
 * @typedef {object} Measure
 * @property {string} label unique within its bench
 * @property {string} group measures of one group are drawn in one chart
 * @property {string} unit
 * @property {number[]} runs
 *
 * How one measure stands to another of the same run: the ratio of each run. A target bounds its median.
 * @typedef {object} Comparison
 * @property {string} label
 * @property {string} of label of a measure
 * @property {string} to label of its reference
 * @property {number} [atLeast]
 * @property {number} [atMost]
 *
 * A bound of a measure itself.
 * @typedef {object} Bound
 * @property {string} label
 * @property {string} of label of a measure
 * @property {number} [atLeast]
 * @property {number} [atMost]
 *
 * @typedef {object} Record
 * @property {string} name
 * @property {string} title
 * @property {Measure[]} measures
 * @property {Comparison[]} comparisons
 * @property {Bound[]} bounds
 * @property {string[]} notes
 *
 * @typedef {object} Recorder
 * @property {Record} record
 * @property {(group: string, label: string, unit: string, value: number) => void} add notes one run
 * @property {(comparison: Comparison) => void} compare
 * @property {(bound: Bound) => void} bound
 * @property {(text: string) => void} note
 */

/** @param {string} name @param {string} title @returns {Recorder} */
export function createRecorder(name, title) {
  /** @type {Record} */
  const record = { name, title, measures: [], comparisons: [], bounds: [], notes: [] };
  return {
    record,
    add: (group, label, unit, value) => {
      const known = record.measures.find((measure) => measure.label === label);
      if (known) known.runs.push(value);
      else record.measures.push({ label, group, unit, runs: [value] });
    },
    compare: (comparison) => {
      record.comparisons.push(comparison);
    },
    bound: (bound) => {
      record.bounds.push(bound);
    },
    note: (text) => {
      record.notes.push(text);
    },
  };
}

/**
 * A target, what came out, and whether that meets it.
 * @typedef {object} Judgement
 * @property {string} label
 * @property {number} value
 * @property {number[]} runs
 * @property {string} unit `×` of a ratio
 * @property {string} target "" where there is none
 * @property {boolean | undefined} met
 * @property {string} verdict
 */

/** @param {Record} record @returns {Judgement[]} */
export function judge(record) {
  const find = (/** @type {string} */ label) => {
    const measure = record.measures.find((each) => each.label === label);
    if (!measure) throw new Error(`${record.name}: no measure ${label}`);
    return measure;
  };
  const ratios = record.comparisons.map((comparison) => {
    const reference = find(comparison.to).runs;
    const runs = find(comparison.of).runs.map((value, index) => value / (reference[index] ?? Number.NaN));
    return judgement(comparison, runs, "×");
  });
  const bounds = record.bounds.map((bound) => {
    const { runs, unit } = find(bound.of);
    return judgement(bound, runs, unit);
  });
  return [...ratios, ...bounds];
}

/** @param {Comparison | Bound} target @param {number[]} runs @param {string} unit @returns {Judgement} */
function judgement({ label, atLeast, atMost }, runs, unit) {
  const value = median(runs);
  const limit = atLeast ?? atMost;
  if (limit === undefined) return { label, value, runs, unit, target: "", met: undefined, verdict: "" };
  const met = atLeast !== undefined ? value >= limit : value <= limit;
  const target = `${atLeast !== undefined ? "≥" : "≤"} ${limit} ${unit}`;
  return { label, value, runs, unit, target, met, verdict: met ? "met" : missedBy(value, limit) };
}

/** @param {number} value @param {number} limit */
function missedBy(value, limit) {
  const factor = value / limit;
  if (limit === 0 || factor > 10) return "missed by far";
  return `missed by ${Math.round(Math.abs(factor - 1) * 100)} %`;
}
