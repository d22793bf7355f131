/**
 * Runs in the project's folder before an incremental compile. When dist does not hold exactly
 * the files that src compiles to, it removes dist and .tsbuildinfo, so that tsc compiles
 * everything. On its own, tsc keeps the output of a deleted or moved source, which other code
 * could still import, and it does not notice when an output is missing. The declarations of
 * src/client are compiled anew each time: only those without a source are removed. The page in
 * dist/ui stays: scripts/build-ui.mjs looks after it.
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

const isDeclaration = /** @param {string} path */ (path) => path.endsWith(".d.ts");
const compiled = compiledFiles();
const expected = filesBelow("src").flatMap((path) => [
  path.replace(/\.ts$/, ".js"),
  path.replace(/\.ts$/, ".js.map"),
]);

const isAsExpected =
  compiled
    .filter((path) => !isDeclaration(path))
    .sort()
    .join("\n") === expected.sort().join("\n");
if (!isAsExpected) {
  const hasPage = existsSync("dist/ui");
  const outputs = hasPage ? readdirSync("dist").filter((name) => name !== "ui") : [""];
  for (const path of [...outputs.map((name) => join("dist", name)), ".tsbuildinfo"])
    rmSync(path, { recursive: true, force: true });
}
for (const path of compiled.filter(isDeclaration)) {
  if (!existsSync(`src/${path.replace(/\.d\.ts$/, ".ts")}`)) rmSync(`dist/${path}`, { force: true });
}
