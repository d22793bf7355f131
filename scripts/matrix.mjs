// npm run matrix [-- --only NAME]... [--from FILE]
//
// Runs the tests on every release of OpenZFS and Node that can be had here, those of backups on the object stores
// whose packages are installed, and installs the packages:
// those of npm with several of its releases, and the one of Debian in roots of two of its releases.
// Writes docs/compatibility.md. With --only, such as "OpenZFS 2.1.11" or "install", runs these parts;
// what the page says of the others stays. Two parts run at a time. With --from, takes from a run of
// .ci/run on the same commit (CI_RESULTS) the parts that are the same there, and does not run them.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pageOf } from "./parts/compatibility-page.mjs";
import { ENGINES, enginePart, nodePart, OPENZFS_SUITES, openZfsPart, uwsPart } from "./parts/parts.mjs";
import { runByTwo, tableOf } from "./parts/run-part.mjs";

const PAGE = fileURLToPath(new URL("../docs/compatibility.md", import.meta.url));
const RESULTS = fileURLToPath(new URL("../docs/compatibility.json", import.meta.url));

const { values } = parseArgs({
  options: { only: { type: "string", multiple: true }, from: { type: "string" } },
});

/** The parts that .ci/run has as well, and whole. */
const SAME_IN_CI = ["Node 24 in Debian 13"];

/** @type {import("./parts/compatibility-page.mjs").Results} */
const results = existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, "utf8")) : { parts: {}, installs: [] };
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
const date = new Date().toISOString().slice(0, 10);

const releases = /** @type {(keyof typeof OPENZFS_SUITES)[]} */ (Object.keys(OPENZFS_SUITES));
const folder = mkdtempSync(join(tmpdir(), "imagestore-matrix-"));
const installs = join(folder, "installs.json");
const debs = join(folder, "debs.json");
/** Those with an emulated VM come first: one of them leaves a processor idle most of the time. */
const parts = [
  ...releases.map((release) => openZfsPart(release, "all")),
  ...[20, 22, 24, 26].map((major) => nodePart(major, "all")),
  ...[20, 22, 24].map(uwsPart),
  ...ENGINES.map(enginePart),
  {
    name: "install",
    argv: ["node", "scripts/test-install.mjs", "--results", installs],
    limitMinutes: 45,
  },
  { name: "deb", argv: ["npm", "run", "test:deb"], env: { DEB_RESULTS: debs }, limitMinutes: 30 },
];

const names = parts.map(({ name }) => name);
const unknown = (values.only ?? []).filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`matrix: no part ${unknown.join(", ")}; there are ${names.join(", ")}\n`);
  process.exit(2);
}

/** After each part, so that a run that is cut short has told what it found. */
function writePage() {
  writeFileSync(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(PAGE, pageOf(results));
}

/** @param {import("./parts/run-part.mjs").PartEnd} end */
function take({ name, ok, why, seconds, ran }) {
  results.parts[name] = { date, commit, ok, why, seconds: Math.round(seconds), ...(ran ?? { tallies: {} }) };
  if (existsSync(installs)) results.installs = JSON.parse(readFileSync(installs, "utf8"));
  if (existsSync(debs)) results.debs = JSON.parse(readFileSync(debs, "utf8")).runs;
  writePage();
}

const begin = performance.now();
/** @type {import("./parts/run-part.mjs").PartEnd[]} */
const ends = [];
/** @type {import("./parts/run-part.mjs").PartEnd[]} */
const taken = values.from ? JSON.parse(readFileSync(values.from, "utf8")) : [];
for (const end of taken) if (SAME_IN_CI.includes(end.name)) ends.push(end);
for (const end of ends) take(end);
const waiting = parts.filter(
  ({ name }) => (values.only?.includes(name) ?? true) && !ends.some((end) => end.name === name),
);
ends.push(...(await runByTwo(waiting, take)));
rmSync(folder, { recursive: true });
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
