// npm run sbom [-- FILE]
//
// Writes what the daemon is made of as a CycloneDX file, by default dist/sbom.json: every package that an
// installation of it may have, with version, licence and checksum.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
const [file = join(CHECKOUT, "dist/sbom.json")] = process.argv.slice(2);

/** @typedef {{ dev?: boolean, version: string, name?: string }} Locked */
/** @type {Record<string, Locked>} */
const { "": root, ...locked } = JSON.parse(
  readFileSync(join(CHECKOUT, "npm-shrinkwrap.json"), "utf8"),
).packages;
/** What the page is bundled of: it is shipped in dist/ui. */
const IN_PAGE = ["preact", "@preact/signals", "@preact/signals-core"].map((name) => `node_modules/${name}`);
/** NAME@VERSION of what is not only for development. */
const kept = new Set(
  Object.entries(locked)
    .filter(([path, { dev }]) => !dev || IN_PAGE.includes(path))
    .map(
      ([path, { version, name }]) =>
        `${name ?? path.slice(path.lastIndexOf("node_modules/") + 13)}@${version}`,
    ),
);
kept.add(`${root?.name}@${root?.version}`);

// Not by npm's --omit=dev: npm 11 then leaves out a package that something for development needs as well.
const argv = ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"];
const bom = JSON.parse(execFileSync("npm", argv, { cwd: CHECKOUT, encoding: "utf8", maxBuffer: 2 ** 26 }));
const isKept = (/** @type {string} */ ref) => kept.has(ref);
bom.components = bom.components.filter((/** @type {any} */ each) => isKept(each["bom-ref"]));
bom.dependencies = bom.dependencies
  .filter((/** @type {any} */ { ref }) => isKept(ref))
  .map((/** @type {any} */ { ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(isKept) }));
// npm names the whole after the folder, and calls it a library.
Object.assign(bom.metadata.component, { name: root?.name, type: "application" });

mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, `${JSON.stringify(bom, undefined, 2)}\n`);
process.stdout.write(`${file}: ${bom.components.length} packages\n`);
