// @ts-check
/**
 * npm run bench            all benches
 * npm run bench -- NAME…   these
 *
 * BENCH_SECONDS=N  length of one measured run (default 5; soak and overload have their own)
 * BENCH_RUNS=N     runs of which the median counts (default 3)
 * BENCH_FULL=1     soak and overload at full length
 * BENCH_PROFILE=D  the daemons write CPU profiles into the folder D
 * BENCH_RESULTS=D  where results go (default bench/results)
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commitMeasured, describeMachine, loadAverage } from "./lib/machine.mjs";
import { createRecorder } from "./lib/record.mjs";
import { createReleasers } from "./lib/releasers.mjs";
import { readSettings } from "./lib/settings.mjs";
import { alignedText, tablesOf } from "./lib/table.mjs";
import { VmUnavailable } from "./lib/vm.mjs";

/**
 * A bench: measures and records.
 * @typedef {object} Bench
 * @property {string} title
 * @property {(tools: Tools) => Promise<void>} run
 *
 * @typedef {import("./lib/releasers.mjs").Releasers & import("./lib/record.mjs").Recorder &
 *   { settings: import("./lib/settings.mjs").Settings, say: (text: string) => void }} Tools
 */

const ALL = ["rpc", "spawn", "streams", "fanout", "mixed", "fetch", "scale", "overload", "soak"];
const RESULTS = process.env.BENCH_RESULTS ?? fileURLToPath(new URL("results/", import.meta.url));

const names = process.argv.slice(2);
const unknown = names.filter((name) => !ALL.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`no bench ${unknown.join(", ")}; there are ${ALL.join(", ")}\n`);
  process.exit(2);
}

const releasers = createReleasers();
let interrupted = false;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.once(signal, () => {
    interrupted = true;
    process.stderr.write(`${signal}: cleaning up\n`);
    void releasers.releaseAll().then(() => process.exit(130));
  });
}

// As where a load fails while it is not awaited: nothing that was started may stay.
process.once("unhandledRejection", (error) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  void releasers.releaseAll().then(() => process.exit(1));
});

let failed = false;
for (const name of names.length > 0 ? names : ALL) {
  try {
    await runBench(name);
  } catch (error) {
    if (interrupted) break;
    if (error instanceof VmUnavailable) process.stdout.write(`${name}: skipped: ${error.message}\n`);
    else {
      failed = true;
      process.stderr.write(`${name}: ${error instanceof Error ? error.stack : error}\n`);
    }
  } finally {
    await releasers.releaseAll();
  }
}
process.exit(interrupted ? 130 : failed ? 1 : 0);

/** @param {string} name */
async function runBench(name) {
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
