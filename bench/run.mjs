// @ts-check
/**
 * npm run bench            all benches
 * npm run bench -- NAME…   these
 *
 * BENCH_SECONDS=N  length of one measured run (default 5; soak and overload have their own)
 * BENCH_RUNS=N     number of runs, of which the median counts (default 3)
 * BENCH_FULL=1     soak and overload at full length
 * BENCH_BEFORE=D   folder of another checkout, built, which the bench `before` compares with this one
 * BENCH_PROFILE=D  the daemons write CPU profiles into the folder D
 * BENCH_RESULTS=D  where results go (default bench/results)
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BENCHES } from "./lib/benches.mjs";
import { commitMeasured, describeMachine, loadAverage } from "./lib/machine.mjs";
import { createRecorder } from "./lib/record.mjs";
import { createReleasers } from "./lib/releasers.mjs";
import { readSettings } from "./lib/settings.mjs";
import { alignedText, tablesOf } from "./lib/table.mjs";
import { Unavailable } from "./lib/unavailable.mjs";

/**
 * A bench: measures and records.
 * @typedef {object} Bench
 * @property {string} title
 * @property {(tools: Tools) => Promise<void>} run throws Unavailable when the machine lacks what it needs
 *
 * @typedef {import("./lib/releasers.mjs").Releasers & import("./lib/record.mjs").Recorder &
 *   { settings: import("./lib/settings.mjs").Settings, say: (text: string) => void }} Tools
 */

const RESULTS = process.env.BENCH_RESULTS ?? fileURLToPath(new URL("results/", import.meta.url));

await main(process.argv.slice(2));

/** @param {readonly string[]} names of benches, none for all */
async function main(names) {
  const all = BENCHES.map(({ name }) => name);
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`no bench ${unknown.join(", ")}; there are ${all.join(", ")}\n`);
    process.exit(2);
  }

  const releasers = createReleasers();
  /** Set by a signal and never reset: no further bench starts. */
  let interrupted = false;
  /** Set by the first bench that fails and never reset: the others still run. */
  let failed = false;
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.once(signal, () => {
      interrupted = true;
      process.stderr.write(`${signal}: cleaning up\n`);
      void releasers.releaseAll().then(() => process.exit(130));
    });
  }
  // A load can fail while nothing awaits it. What was started must stop even then.
  process.once("unhandledRejection", (error) => {
    process.stderr.write(`${textOf(error)}\n`);
    void releasers.releaseAll().then(() => process.exit(1));
  });

  for (const name of names.length > 0 ? names : all) {
    try {
      await runBench(name, releasers);
    } catch (error) {
      if (interrupted) break;
      if (error instanceof Unavailable) process.stdout.write(`${name}: skipped: ${error.message}\n`);
      else {
        failed = true;
        process.stderr.write(`${name}: ${textOf(error)}\n`);
      }
    } finally {
      await releasers.releaseAll();
    }
  }
  process.exit(interrupted ? 130 : failed ? 1 : 0);
}

/** @param {string} name @param {import("./lib/releasers.mjs").Releasers} releasers */
async function runBench(name, releasers) {
  /** @type {Bench} */
  const bench = (await import(`./${name}.mjs`)).default;
  const settings = readSettings();
  const recorder = createRecorder(name, bench.title);
  const loadBefore = loadAverage();
  const say = (/** @type {string} */ text) => process.stdout.write(`${name}: ${text}\n`);
  say(bench.title);
  await bench.run({ ...releasers, ...recorder, settings, say });
  const { record } = recorder;
  const { measures, judgements } = tablesOf(record);
  process.stdout.write(`\n${alignedText(measures)}\n\n`);
  if (judgements.length > 1) process.stdout.write(`${alignedText(judgements)}\n\n`);
  for (const note of record.notes) process.stdout.write(`${note}\n`);
  mkdirSync(RESULTS, { recursive: true });
  const result = {
    ...record,
    date: new Date().toISOString(),
    commit: commitMeasured(),
    settings,
    loadBefore,
    machine: describeMachine(),
  };
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

/** @param {unknown} error */
function textOf(error) {
  return error instanceof Error ? error.stack : String(error);
}
