// A reporter of vitest that writes to the file TALLY_FILE what ran, and what each project counted.
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} Tally
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {number} ms - the time of its files, added up
 * @property {readonly string[]} [failures] - "FILE: TEST: first line of its error"
 * @property {readonly string[]} [retried] - "FILE: TEST: first line of its error" of those that passed when tried again
 *
 * @typedef {object} Ran
 * @property {string} node - "24.21.0"
 * @property {string} uws - the build of uWebSockets.js that loads, "PACKAGE VERSION", or "none"
 * @property {Record<string, Tally>} tallies - by the names of the projects
 * @property {readonly string[]} uncaught - first lines of errors that no test caught; one is enough to fail the run
 */

const UWS_BUILDS = new URL("../../compiled/main/http/uws-builds.js", import.meta.url);

/** The build of uWebSockets.js that loads in this process, as the daemon finds it. */
async function uwsInUse() {
  if (!existsSync(fileURLToPath(UWS_BUILDS))) return "none";
  const { loadUws } = await import(UWS_BUILDS.href);
  const { build } = loadUws();
  return build ? `${build.source} ${build.version}` : "none";
}

/** @param {ReadonlyArray<{ message?: string }> | undefined} errors */
function firstLine(errors) {
  return (errors?.[0]?.message ?? "no message").split("\n")[0];
}

/** @param {ReadonlyArray<import("vitest/node").TestModule>} modules */
export function tallyOf(modules) {
  /** @type {Record<string, { passed: number, failed: number, skipped: number, ms: number, failures: string[], retried: string[] }>} */
  const tallies = {};
  for (const module of modules) {
    const tally = tallies[module.project.name] ?? {
      passed: 0,
      failed: 0,
      skipped: 0,
      ms: 0,
      failures: [],
      retried: [],
    };
    tallies[module.project.name] = tally;
    const { duration, setupDuration, collectDuration } = module.diagnostic();
    tally.ms += Math.round(duration + setupDuration + collectDuration);
    // A file that can't be collected, or a hook that fails, has a failure of its own.
    for (const suite of [module, ...module.children.allSuites()]) {
      if (suite.errors().length === 0) continue;
      tally.failed++;
      tally.failures.push(`${module.relativeModuleId}: ${firstLine(suite.errors())}`);
    }
    for (const test of module.children.allTests()) {
      const { state, errors } = test.result();
      if (state === "pending") continue;
      tally[state]++;
      const line = () => `${module.relativeModuleId}: ${test.fullName}: ${firstLine(errors)}`;
      if (state === "failed") tally.failures.push(line());
      else if (test.diagnostic()?.flaky) tally.retried.push(line());
    }
  }
  return tallies;
}

export default class TallyReporter {
  /**
   * @param {ReadonlyArray<import("vitest/node").TestModule>} modules
   * @param {ReadonlyArray<{ message: string }>} errors - that no test caught; a run with one has failed
   */
  async onTestRunEnd(modules, errors) {
    const file = process.env.TALLY_FILE;
    if (!file) return;
    const uncaught = errors.map(({ message }) => firstLine([{ message }]));
    const ran = { node: process.versions.node, uws: await uwsInUse(), tallies: tallyOf(modules), uncaught };
    writeFileSync(file, JSON.stringify(ran));
  }
}
