// @ts-check
/**
 * npm run bench:report: writes docs/benchmarks.md, and for each bench a page with its charts in
 * docs/benchmarks, from bench/results/*.json. A bench without a result is left out.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { BENCHES } from "./lib/benches.mjs";
import { barChart } from "./lib/chart.mjs";
import { benchPage, chartsOf, resultsPage } from "./lib/pages.mjs";

const RESULTS = new URL("results/", import.meta.url);
const DOCS = new URL("../docs/", import.meta.url);
const PAGES = new URL("benchmarks/", DOCS);

const reported = BENCHES.flatMap(({ name, question, missed }) => {
  const file = new URL(`${name}.json`, RESULTS);
  if (!existsSync(file)) return [];
  /** @type {import("./lib/pages.mjs").Result} */
  const result = JSON.parse(readFileSync(file, "utf8"));
  return [{ result, question, missed }];
});

// Pages and charts of benches that no longer exist go too.
rmSync(PAGES, { recursive: true, force: true });
mkdirSync(PAGES, { recursive: true });
for (const each of reported) {
  writeFileSync(new URL(`${each.result.name}.md`, PAGES), benchPage(each));
  for (const { file, title, unit, bars } of chartsOf(each.result)) {
    writeFileSync(new URL(file, PAGES), barChart(title, unit, bars));
  }
}
writeFileSync(new URL("benchmarks.md", DOCS), resultsPage(reported));
process.stdout.write(`docs/benchmarks.md: ${reported.map(({ result }) => result.name).join(", ")}\n`);
