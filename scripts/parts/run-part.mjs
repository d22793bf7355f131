// Runs the parts of a check, and tells at the end which passed and how long each took.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

/**
 * @typedef {object} Part
 * @property {string} name - stands before each line of its output
 * @property {readonly string[]} argv
 * @property {NodeJS.ProcessEnv} [env] - beside that of this process
 *
 * @typedef {import("./tally-reporter.mjs").Tally} Tally
 *
 * @typedef {object} PartEnd
 * @property {string} name
 * @property {boolean} ok
 * @property {number} seconds
 * @property {Record<string, Tally>} tallies - of the projects of vitest that it ran, by their names
 */

/**
 * Runs one part to its end.
 * @param {Part} part
 * @returns {Promise<PartEnd>}
 */
export async function runPart({ name, argv, env }) {
  // Below the checkout, which a part sees in another root as well.
  const folder = mkdtempSync(join(CHECKOUT, ".part-"));
  const tallyFile = join(folder, "tally.json");
  const begin = performance.now();
  const [program = "", ...args] = argv;
  const child = spawn(program, args, {
    env: { ...process.env, ...env, TALLY_FILE: tallyFile },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => process.stdout.write(`[${name}] ${line}\n`));
  }
  const ok = await new Promise((resolve) => {
    child.once("error", (error) => {
      process.stdout.write(`[${name}] ${error.message}\n`);
      resolve(false);
    });
    child.once("close", (code) => resolve(code === 0));
  });
  const tallies = readTallies(tallyFile);
  rmSync(folder, { recursive: true, force: true });
  return { name, ok, seconds: (performance.now() - begin) / 1000, tallies };
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

/** @param {string} file @returns {Record<string, Tally>} */
function readTallies(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    // A part without vitest, or one that did not come so far.
    return {};
  }
}

/** @param {number} seconds */
function minutes(seconds) {
  return `${Math.floor(seconds / 60)} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
}

/**
 * The times and counts of parts, a line each.
 * @param {readonly PartEnd[]} ends
 * @param {number} totalSeconds
 */
export function tableOf(ends, totalSeconds) {
  const rows = ends.flatMap(({ name, ok, seconds, tallies }) => [
    [name, minutes(seconds), ok ? "passed" : "FAILED"],
    ...Object.entries(tallies).map(([project, { passed, failed, skipped, ms }]) => [
      `  ${project}`,
      minutes(ms / 1000),
      `${passed} passed, ${failed} failed, ${skipped} skipped`,
    ]),
  ]);
  const width = Math.max(...rows.map(([name = ""]) => name.length));
  const lines = rows.map(
    ([name = "", time = "", end = ""]) => `${name.padEnd(width)}  ${time.padStart(11)}  ${end}`,
  );
  return `${lines.join("\n")}\n${"in all".padEnd(width)}  ${minutes(totalSeconds).padStart(11)}\n`;
}
