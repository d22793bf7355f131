// @ts-check
import { judge } from "./record.mjs";
import { median } from "./statistics.mjs";
import { figure, markdown, tablesOf } from "./table.mjs";

/** @typedef {import("./record.mjs").Record} Record */
/**
 * What run.mjs writes.
 * @typedef {Record & {
 *   date: string, commit: string, loadBefore: number,
 *   settings: import("./settings.mjs").Settings,
 *   machine: ReturnType<typeof import("./machine.mjs").describeMachine>,
 * }} Result
 *
 * @typedef {{ result: Result, question: string, missed?: string | undefined }} Reported
 */

/** A chart with more bars than this says less than the table. */
const MOST_BARS = 12;

/**
 * The charts of a bench: one for each group of measures that has one unit and something to compare.
 * @param {Record} record
 */
export function chartsOf(record) {
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

/**
 * docs/benchmarks.md: every target and how much of it was reached. A bench that has no target shows all its ratios.
 * @param {readonly Reported[]} reported
 */
export function resultsPage(reported) {
  const judged = reported.flatMap(({ result }) => shownJudgements(result));
  return page([
    "# Benchmarks",
    "`npm run bench:report` writes this page and the pages it links to from `bench/results/*.json`. Don't edit them.",
    [
      "- A figure is the median of its runs.",
      "- A ratio is the median of the ratios of the runs. The two sides of a ratio are measured right after each other.",
      "- The machine is small and shared with other work, so trust the ratios more than the rates.",
    ].join("\n"),
    "## Targets, the worst first",
    markdown([
      ["bench", "what", "measured", "target", "reached", "verdict", "date and commit"],
      ...judged
        .filter(({ reached }) => reached !== undefined)
        // A bound of nothing that nothing has reached has no share: it is met.
        .sort((a, b) => (a.reached || Number.MAX_VALUE) - (b.reached || Number.MAX_VALUE))
        .map(({ measured, target, reached = 0, verdict, made }) => [
          ...[...measured, target],
          reached > 0 && Number.isFinite(reached) ? figure(reached) : "–",
          ...[verdict, made],
        ]),
    ]),
    ...missedTargets(reported),
    "## Without a target",
    markdown([
      ["bench", "what", "measured", "date and commit"],
      ...judged
        .filter(({ reached }) => reached === undefined)
        .map(({ measured, made }) => [...measured, made]),
    ]),
    "## What each bench asks",
    markdown([
      ["bench", "question"],
      ...reported.map(({ result, question }) => [pageLink(result), question]),
    ]),
    "## How to run them",
    [
      "- `npm run bench` runs all benches, and `npm run bench -- rpc soak` runs these two.",
      "- [bench/run.mjs](../bench/run.mjs) lists the variables that set the length of a run.",
      "- mixed, fetch and a part of scale need a VM with OpenZFS.",
      "- `npm run bench -- nodes` compares Node 24 with Node 20, both in a root of Debian 13. It makes that by debootstrap, as root.",
      "- `BENCH_BEFORE=FOLDER npm run bench -- before` compares this checkout with another one. Build that one first. With\n" +
        "  `BENCH_BEFORE=.` the checkout is compared with itself, which shows how much the machine lets the ratios vary.",
    ].join("\n"),
  ]);
}

/**
 * What is in the way of the targets that are missed.
 * @param {readonly Reported[]} reported
 */
function missedTargets(reported) {
  const short = reported.filter(({ result }) =>
    judge(result).some(({ verdict }) => verdict.startsWith("missed")),
  );
  if (short.length === 0) return [];
  return [
    "## What is missed, and why",
    short.map(({ result, missed = "Not looked into." }) => `- ${pageLink(result)}: ${missed}`).join("\n"),
  ];
}

/** @param {Result} result */
function shownJudgements(result) {
  const judgements = judge(result);
  const targets = judgements.filter(({ target }) => target !== "");
  return (targets.length > 0 ? targets : judgements).map((judgement) => ({
    ...judgement,
    measured: [pageLink(result), judgement.label, `${figure(judgement.value)} ${judgement.unit}`],
    made: `${result.date.slice(0, 10)}, ${result.commit}`,
  }));
}

/** @param {Record} record */
const pageLink = ({ name }) => `[${name}](benchmarks/${name}.md)`;

/**
 * docs/benchmarks/NAME.md: all that is known of one bench's last measurement.
 * @param {Reported} reported
 */
export function benchPage({ result, question }) {
  const { name, title, notes } = result;
  const { measures, judgements } = tablesOf(result);
  const charts = chartsOf(result).map(({ file, title, unit }) => `![${title}, ${unit}](${file})`);
  return page([
    `# ${name}: ${title}`,
    question,
    `[All results](../benchmarks.md) · [code](../../bench/${name}.mjs) · [data](../../bench/results/${name}.json)`,
    ...(judgements.length > 1 ? ["## Ratios and bounds", markdown(judgements)] : []),
    ...(charts.length > 0 ? ["## Charts", ...charts] : []),
    "## Runs",
    markdown(measures),
    ...(notes.length > 0 ? ["## Notes", ...notes] : []),
    "## When and where",
    madeText(result),
  ]);
}

/** @param {Result} result */
function madeText({ date, commit, settings, loadBefore, machine }) {
  const packages = Object.entries(machine.packages).map(([name, version]) => `${name} ${version}`);
  return [
    `- ${date.slice(0, 16).replace("T", " ")} UTC, commit ${commit}`,
    `- ${settings.seconds} s a run; the load average before the first run was ${loadBefore}`,
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB; kernel ${machine.kernel}; node ${machine.node}`,
    `- ${packages.join(", ")}`,
  ].join("\n");
}

/** @param {readonly string[]} blocks */
const page = (blocks) => `${blocks.join("\n\n")}\n`;
