// @ts-check
import { judge } from "./record.mjs";
import { median } from "./statistics.mjs";

/** Three digits that count, thousands apart. @param {number} value */
export function figure(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude >= 3) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toFixed(Math.max(2 - magnitude, 0))));
}

/**
 * Rows of the tables of a bench, its head row first.
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
  const judgements = judge(record).map(({ label, value, unit, runs, target, verdict }) => [
    label,
    `${figure(value)} ${unit}`,
    runs.map(figure).join(" · "),
    target,
    verdict,
  ]);
  return {
    measures: [["", "measured", "median", "unit", "runs"], ...measures],
    judgements: [["ratio or bound", "median", "runs", "target", ""], ...judgements],
  };
}

/** Aligned for a terminal. @param {readonly (readonly string[])[]} rows */
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

/** @param {readonly (readonly string[])[]} rows */
export function markdown(rows) {
  const [head = [], ...body] = rows;
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...body.map(line)].join("\n");
}
