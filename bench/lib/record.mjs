// @ts-check
import { median } from "./statistics.mjs";

/**
 * A quantity that was measured, with its value in each run.
 * @typedef {object} Measure
 * @property {string} label unique within its bench
 * @property {string} group measures of one group share a chart
 * @property {string} unit
 * @property {number[]} runs
 *
 * The ratio of one measure to another, run by run. A target bounds the median of the ratios.
 * @typedef {object} Comparison
 * @property {string} label
 * @property {string} of label of a measure
 * @property {string} to label of its reference
 * @property {number} [atLeast]
 * @property {number} [atMost]
 *
 * A measure that the report shows among the ratios; a target bounds its median.
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
 * @property {(group: string, label: string, unit: string, value: number) => void} add adds the value of one more run
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
 * What came out of a comparison or a bound, and whether it meets its target.
 * @typedef {object} Judgement
 * @property {string} label
 * @property {readonly [Measure, Measure] | undefined} compared the two sides of a ratio, undefined for a bound
 * @property {number} value the median of `runs`
 * @property {number[]} runs
 * @property {string} unit `×` for a ratio
 * @property {string} target "" where there is none
 * @property {string} verdict "met", or by how much the target was missed; "" where there is none
 * @property {number | undefined} reached the share of the target that was reached: 1 and more is met; undefined without one
 */

/** @param {Record} record @returns {Judgement[]} */
export function judge(record) {
  const find = (/** @type {string} */ label) => {
    const measure = record.measures.find((each) => each.label === label);
    if (!measure) throw new Error(`${record.name}: no measure ${label}`);
    return measure;
  };
  const ratios = record.comparisons.map((comparison) => {
    const measure = find(comparison.of);
    const reference = find(comparison.to);
    const runs = measure.runs.map((value, index) => value / (reference.runs[index] ?? Number.NaN));
    return judgement(comparison, [measure, reference], runs, "×");
  });
  const bounds = record.bounds.map((bound) => {
    const { runs, unit } = find(bound.of);
    return judgement(bound, undefined, runs, unit);
  });
  return [...ratios, ...bounds];
}

/**
 * @param {Comparison | Bound} wanted @param {Judgement["compared"]} compared
 * @param {number[]} runs @param {string} unit
 * @returns {Judgement}
 */
function judgement({ label, atLeast, atMost }, compared, runs, unit) {
  const value = median(runs);
  const limit = atLeast ?? atMost;
  if (limit === undefined)
    return { label, compared, value, runs, unit, target: "", verdict: "", reached: undefined };
  const met = atLeast !== undefined ? value >= limit : value <= limit;
  const target = `${atLeast !== undefined ? "≥" : "≤"} ${limit} ${unit}`;
  const reached = atLeast !== undefined ? value / limit : limit / value;
  return {
    label,
    compared,
    value,
    runs,
    unit,
    target,
    verdict: met ? "met" : missedBy(value, limit),
    reached,
  };
}

/** @param {number} value @param {number} limit */
function missedBy(value, limit) {
  const factor = value / limit;
  if (limit === 0 || factor > 10) return "missed by far";
  return `missed by ${Math.round(Math.abs(factor - 1) * 100)} %`;
}
