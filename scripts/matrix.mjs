// npm run matrix [-- --only NAME]...
//
// Runs the tests on every release of OpenZFS and Node that can be had here, and installs the package
// with several releases of npm. Writes docs/compatibility.md. With --only, such as "OpenZFS 2.1.11" or
// "install", runs these parts; what the page says of the others stays.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pageOf } from "./parts/compatibility-page.mjs";
import { nodePart, OPENZFS_SUITES, openZfsPart, uwsPart } from "./parts/parts.mjs";
import { runPart, tableOf } from "./parts/run-part.mjs";

const PAGE = fileURLToPath(new URL("../docs/compatibility.md", import.meta.url));
const RESULTS = fileURLToPath(new URL("../docs/compatibility.json", import.meta.url));

const { values } = parseArgs({ options: { only: { type: "string", multiple: true } } });

/** @type {import("./parts/compatibility-page.mjs").Results} */
const results = existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, "utf8")) : { parts: {}, installs: [] };
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
const date = new Date().toISOString().slice(0, 10);

const releases = /** @type {(keyof typeof OPENZFS_SUITES)[]} */ (Object.keys(OPENZFS_SUITES));
const parts = [
  ...releases.map((release) => openZfsPart(release, "all")),
  ...[20, 22, 24, 26].map(nodePart),
  ...[20, 22, 24].map(uwsPart),
];

const names = [...parts.map(({ name }) => name), "install"];
const unknown = (values.only ?? []).filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`matrix: no part ${unknown.join(", ")}; there are ${names.join(", ")}\n`);
  process.exit(2);
}
const isChosen = (/** @type {string} */ name) => values.only?.includes(name) ?? true;

/** After each part, so that a run that is cut short has told what it found. */
function writePage() {
  writeFileSync(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(PAGE, pageOf(results));
}

const begin = performance.now();
const ends = [];
for (const part of parts.filter(({ name }) => isChosen(name))) {
  const end = await runPart(part);
  ends.push(end);
  const { ok, why, seconds, ran = { tallies: {} } } = end;
  results.parts[part.name] = { date, commit, ok, why, seconds: Math.round(seconds), ...ran };
  writePage();
}
if (isChosen("install")) {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-matrix-"));
  const file = join(folder, "installs.json");
  const end = await runPart({
    name: "install",
    argv: ["node", "scripts/test-install.mjs", "--results", file],
    limitMinutes: 45,
  });
  ends.push(end);
  if (existsSync(file)) results.installs = JSON.parse(readFileSync(file, "utf8"));
  writePage();
  rmSync(folder, { recursive: true });
}
process.stdout.write(`\n${tableOf(ends, (performance.now() - begin) / 1000)}`);
process.exitCode = ends.every(({ ok }) => ok) ? 0 : 1;
