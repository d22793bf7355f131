// @ts-check
/** npm run bench:report: writes docs/benchmarks.md and its charts from bench/results/*.json. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { barChart } from "./lib/chart.mjs";
import { judge } from "./lib/record.mjs";
import { median } from "./lib/statistics.mjs";
import { figure, markdown, tablesOf } from "./lib/table.mjs";

/** @typedef {import("./lib/record.mjs").Record} Record */
/**
 * What run.mjs writes.
 * @typedef {Record & {
 *   date: string, commit: string, loadBefore: number,
 *   settings: import("./lib/settings.mjs").Settings,
 *   machine: ReturnType<typeof import("./lib/machine.mjs").describeMachine>,
 * }} Result
 */

const ORDER = ["rpc", "spawn", "streams", "fanout", "mixed", "fetch", "scale", "overload", "soak"];
const RESULTS = new URL("results/", import.meta.url);
const DOCS = new URL("../docs/", import.meta.url);

/** @param {string} name @returns {Result[]} */
function readResult(name) {
  const file = new URL(`${name}.json`, RESULTS);
  return existsSync(file) ? [JSON.parse(readFileSync(file, "utf8"))] : [];
}

/** More bars than this are for a table. */
const MOST_BARS = 12;

/** The groups of a record's measures that are worth a picture: of one unit, with something to compare. @param {Record} record */
function chartsOf(record) {
  const groups = new Map(
    record.measures.map(({ group }) => [group, record.measures.filter((each) => each.group === group)]),
  );
  return [...groups]
    .filter(
      ([, measures]) =>
        measures.length > 1 &&
        measures.length <= MOST_BARS &&
        new Set(measures.map(({ unit }) => unit)).size === 1,
    )
    .map(([group, measures], index) => ({
      file: `${record.name}-${index + 1}.svg`,
      title: group,
      unit: measures[0]?.unit ?? "",
      bars: measures.map(({ label, runs }) => ({ label, value: median(runs) })),
    }));
}

/** @param {Result} result */
function section(result) {
  const { name, title, date, commit, settings, loadBefore, notes } = result;
  const { measures, judgements } = tablesOf(result);
  const charts = chartsOf(result).map(({ file, title, unit }) => `![${title}, ${unit}](benchmarks/${file})`);
  const made = `Measured ${date.slice(0, 16).replace("T", " ")} UTC at commit ${commit}; ${settings.seconds} s a run, load average before it ${loadBefore}.`;
  return [
    `## ${name}: ${title}`,
    ...(judgements.length > 1 ? [markdown(judgements)] : []),
    ...charts,
    `<details><summary>All runs</summary>\n\n${markdown(measures)}\n\n</details>`,
    [...notes, made].join("\n\n"),
  ].join("\n\n");
}

/** Every target in one table. @param {readonly Result[]} results */
function summary(results) {
  const rows = results.flatMap((result) =>
    judge(result)
      .filter(({ target }) => target !== "")
      .map(({ label, value, unit, target, verdict }) => [
        result.name,
        label,
        `${figure(value)} ${unit}`,
        target,
        verdict,
      ]),
  );
  return markdown([["bench", "what", "measured", "target", ""], ...rows]);
}

/** @param {readonly Result[]} results */
function machines(results) {
  const rows = results.map(({ name, machine }) => {
    const packages = Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`);
    return [
      name,
      `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB`,
      machine.kernel,
      machine.node,
      packages.join(", "),
    ];
  });
  return markdown([["bench", "machine", "kernel", "node", "packages"], ...rows]);
}

const results = ORDER.flatMap(readResult);
const charts = new URL("benchmarks/", DOCS);
rmSync(charts, { recursive: true, force: true });
mkdirSync(charts, { recursive: true });
for (const { file, title, unit, bars } of results.flatMap(chartsOf)) {
  writeFileSync(new URL(file, charts), barChart(title, unit, bars));
}
const text = [
  "# Benchmarks",
  "Written by `npm run bench:report` from `bench/results/*.json`, which `npm run bench` writes; don't edit. A figure is the median\n" +
    "of its runs, a ratio the median of the ratios of each run, whose two sides are measured right after another. The machine is\n" +
    "small and shared, so read the ratios.",
  "## Targets",
  summary(results),
  ...results.map(section),
  "## Machine",
  machines(results),
];
writeFileSync(new URL("benchmarks.md", DOCS), `${text.join("\n\n")}\n`);
process.stdout.write(`docs/benchmarks.md: ${results.map(({ name }) => name).join(", ")}\n`);
