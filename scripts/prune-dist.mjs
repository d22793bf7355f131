/**
 * Runs in the project's folder before an incremental compile. When dist does not hold exactly
 * the files that src compiles to, it removes dist and .tsbuildinfo, so that tsc compiles
 * everything. On its own, tsc keeps the output of a deleted or moved source, which other code
 * could still import, and it does not notice when an output is missing. The page in dist/ui stays:
 * scripts/build-ui.mjs looks after it.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** @param {string} folder @returns {string[]} the files below; folders have no dot in their names */
function filesBelow(folder) {
  return readdirSync(folder, { encoding: "utf8", recursive: true }).filter((path) => path.includes("."));
}

/** @returns {string[]} none when there is no dist */
function compiledFiles() {
  try {
    return filesBelow("dist").filter((path) => !path.startsWith("ui/"));
  } catch {
    return [];
  }
}

const expected = filesBelow("src").flatMap((path) => [
  path.replace(/\.ts$/, ".js"),
  path.replace(/\.ts$/, ".js.map"),
]);

if (compiledFiles().sort().join("\n") !== expected.sort().join("\n")) {
  const page = existsSync("dist/ui");
  const compiled = page ? readdirSync("dist").filter((name) => name !== "ui") : [""];
  for (const path of [...compiled.map((name) => join("dist", name)), ".tsbuildinfo"])
    rmSync(path, { recursive: true, force: true });
}
