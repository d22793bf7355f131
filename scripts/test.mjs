// npm test                 all tests, in parts of which two run beside each other; their times and what failed stand at the end
// npm test -- ARGUMENTS    vitest run ARGUMENTS
//
// LONG_TESTS=elsewhere     leaves out what takes long in the VM and seldom breaks
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { testParts } from "./parts/parts.mjs";
import { runByTwo, tableOf } from "./parts/run-part.mjs";

const words = process.argv.slice(2);
if (words.length > 0) {
  const argv = ["node_modules/vitest/vitest.mjs", "run", ...words];
  process.exit(spawnSync(process.execPath, argv, { stdio: "inherit" }).status ?? 1);
}

const begin = performance.now();
const ends = await runByTwo(testParts(process.env));
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
const [first, ...others] = ends.flatMap(({ ran }) => ran ?? []);
// What .ci/run tells of this.
if (process.env.TALLY_FILE && first) {
  const tallies = Object.assign({}, first.tallies, ...others.map((ran) => ran.tallies));
  const uncaught = [first, ...others].flatMap((ran) => ran.uncaught);
  writeFileSync(process.env.TALLY_FILE, JSON.stringify({ ...first, tallies, uncaught }));
}
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
