/**
 * Runs in the project's folder before an incremental compile. When `compiled` does not hold exactly
 * the files that src compiles to, it removes `compiled` and .tsbuildinfo, so that tsc compiles
 * everything. On its own, tsc keeps the output of a deleted or moved source, which other code
 * could still import, and it does not notice when an output is missing. The declarations of
 * src/client in dist/client are made anew each time: only those without a source are removed.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";

/** @param {string} folder @returns {string[]} the files below, none when it is not there; folders have no dot in their names */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { encoding: "utf8", recursive: true }).filter((path) => path.includes("."));
}

const expected = filesBelow("src").flatMap((path) => [
  path.replace(/\.ts$/, ".js"),
  path.replace(/\.ts$/, ".js.map"),
]);

if (filesBelow("compiled").sort().join("\n") !== expected.sort().join("\n")) {
  for (const path of ["compiled", ".tsbuildinfo"]) rmSync(path, { recursive: true, force: true });
}
for (const path of filesBelow("dist/client")) {
  const source = `src/client/${path.replace(/(?:\.d\.ts|\.js)$/, ".ts")}`;
  if (!existsSync(source)) rmSync(`dist/client/${path}`);
}
