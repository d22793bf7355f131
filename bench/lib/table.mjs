// @ts-check
import { judge } from "./record.mjs";
import { median } from "./statistics.mjs";

/** Three significant digits, with commas between thousands. @param {number} value */
export function figure(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude >= 3) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toFixed(Math.max(2 - magnitude, 0))));
}

/**
 * The rows of a bench's two tables, each with its head row first. `judgements` has a row for each ratio, with
 * the medians of its two sides, and for each bound.
 * @param {import("./record.mjs").Record} record
 * @returns {{ measures: string[][], judgements: string[][] }}
 */
export function tablesOf(record) {
  const measures = record.measures.map(({ group, label, unit, runs }) => [
    group,
    label,
    figure(median(runs)),
    unit,
    runs.map(figure).join(" · "),
  ]);
  const judgements = judge(record).map(({ label, compared, value, unit, runs, target, verdict }) => [
    label,
    ...(compared ? compared.map(medianText) : ["", ""]),
    `${figure(value)} ${unit}`,
    runs.map(figure).join(" · "),
    target,
    verdict,
  ]);
  return {
    measures: [["group", "what", "median", "unit", "runs"], ...measures],
    judgements: [["what", "this", "reference", "result", "runs", "target", "verdict"], ...judgements],
  };
}

/** @param {import("./record.mjs").Measure} measure */
function medianText({ runs, unit }) {
  return `${figure(median(runs))} ${unit}`;
}

/** A table for a terminal, with aligned columns. @param {readonly (readonly string[])[]} rows */
export function alignedText(rows) {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A table in markdown. @param {readonly (readonly string[])[]} rows */
export function markdown(rows) {
  const [head = [], ...body] = rows;
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...body.map(line)].join("\n");
}
