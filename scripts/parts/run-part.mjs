// Runs the parts of a check, and tells at the end which passed and how long each took.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** What `timeout` ends with when the time is over. */
const TIMED_OUT = [124, 137];
const SIGNALS = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);

/**
 * @typedef {object} Part
 * @property {string} name - stands before each line of its output
 * @property {readonly string[]} argv
 * @property {NodeJS.ProcessEnv} [env] - beside that of this process
 * @property {number} limitMinutes - then it is ended, and has failed
 *
 * @typedef {import("./tally-reporter.mjs").Ran} Ran
 *
 * @typedef {object} PartEnd
 * @property {string} name
 * @property {boolean} ok
 * @property {string} why - it failed; empty if it did not
 * @property {number} seconds
 * @property {Ran | undefined} ran - by vitest, if it came so far
 */

/**
 * Runs one part to its end, with all that it starts. A signal to this process ends it too.
 * @param {Part} part
 * @returns {Promise<PartEnd>}
 */
export async function runPart({ name, argv, env, limitMinutes }) {
  // Below the checkout, which a part sees in another root as well.
  const folder = mkdtempSync(join(CHECKOUT, ".part-"));
  const tallyFile = join(folder, "tally.json");
  const begin = performance.now();
  const child = spawn("timeout", ["--kill-after=60", `${limitMinutes}m`, ...argv], {
    env: { ...process.env, ...env, TALLY_FILE: tallyFile },
    stdio: ["ignore", "pipe", "pipe"],
  });
  /** @param {NodeJS.Signals} signal */
  const passOn = (signal) => {
    child.kill(signal);
    // Nobody wants the parts behind it, nor a table in which they failed.
    child.once("close", () => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(1);
    });
  };
  for (const signal of SIGNALS) process.on(signal, passOn);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => process.stdout.write(`[${name}] ${line}\n`));
  }
  const why = await new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => {
      if (code === 0) resolve("");
      else
        resolve(
          code !== null && TIMED_OUT.includes(code)
            ? `not done in ${limitMinutes} min`
            : `status ${code ?? signal}`,
        );
    });
  });
  for (const signal of SIGNALS) process.off(signal, passOn);
  const ran = readRan(tallyFile);
  rmSync(folder, { recursive: true, force: true });
  return { name, ok: why === "", why, seconds: (performance.now() - begin) / 1000, ran };
}

/**
 * Runs parts one after another. One that fails stops none behind it.
 * @param {readonly Part[]} parts
 * @returns {Promise<PartEnd[]>}
 */
export async function runInTurn(parts) {
  const ends = [];
  for (const part of parts) ends.push(await runPart(part));
  return ends;
}

/**
 * Runs parts in their order, two at a time.
 * @param {readonly Part[]} parts
 * @param {(end: PartEnd) => void} [onEnd] - after each
 * @returns {Promise<PartEnd[]>} in the order in which they ended
 */
export async function runByTwo(parts, onEnd = () => {}) {
  const waiting = [...parts];
  /** @type {PartEnd[]} */
  const ends = [];
  async function runWaiting() {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      const end = await runPart(part);
      ends.push(end);
      onEnd(end);
    }
  }
  await Promise.all([runWaiting(), runWaiting()]);
  return ends;
}

/** @param {string} file @returns {Ran | undefined} */
function readRan(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // A part without vitest, or one that did not come so far.
    return undefined;
  }
}

/** @param {number} seconds */
function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** What a run has to tell of single cases, a line each. @param {Ran | undefined} ran */
function casesOf(ran) {
  const tallies = Object.values(ran?.tallies ?? {});
  return [
    ...tallies.flatMap(({ failures = [] }) => failures.map((line) => `  failed: ${line}`)),
    ...(ran?.uncaught ?? []).map((line) => `  not caught by a test: ${line}`),
    ...tallies.flatMap(({ retried = [] }) => retried.map((line) => `  passed when tried again: ${line}`)),
  ];
}

/**
 * The times and counts of parts, a line each. Behind them the cases that failed, or passed when
 * tried again: the last lines of a long output are often all that is kept of it.
 * @param {readonly PartEnd[]} ends
 * @param {number} totalSeconds
 */
export function tableOf(ends, totalSeconds) {
  const rows = ends.flatMap(({ name, why, seconds, ran }) => [
    [name, minutes(seconds), why === "" ? "passed" : `FAILED: ${why}`],
    ...Object.entries(ran?.tallies ?? {}).map(([project, { passed, failed, skipped, ms }]) => [
      `  ${project}`,
      minutes(ms / 1000),
      `${passed} passed, ${failed} failed, ${skipped} skipped`,
    ]),
  ]);
  const width = Math.max(...rows.map(([name = ""]) => name.length));
  const lines = rows.map(
    ([name = "", time = "", end = ""]) => `${name.padEnd(width)}  ${time.padStart(11)}  ${end}`,
  );
  lines.push(`${"in all".padEnd(width)}  ${minutes(totalSeconds).padStart(11)}`);
  for (const { name, ran } of ends) {
    const cases = casesOf(ran);
    if (cases.length > 0) lines.push(`${name}:`, ...cases);
  }
  return `${lines.join("\n")}\n`;
}
