/**
 * Builds the page: ui to dist/ui, with each file compressed beside itself. Does nothing when dist/ui was
 * made of the same sources by the same packages: .uibuildinfo has a hash of them, as .tsbuildinfo for tsc.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const OUT = "dist/ui";
const INFO = ".uibuildinfo";
/** What the output depends on, beside ui and this script: it reads events as the client does. */
const SHARED = ["src/client/event-frames.ts"];
const PACKAGES = ["vite", "preact", "@preact/signals", "@preact/signals-core"];
/** A shorter file gains nothing. */
const FEWEST_BYTES = 512;

/** @param {string} folder @returns {string[]} the files below, sorted */
function filesBelow(folder) {
  return readdirSync(folder, { encoding: "utf8", recursive: true })
    .map((path) => join(folder, path))
    .filter((path) => statSync(path).isFile())
    .sort();
}

function hashOfSources() {
  const hash = createHash("sha256");
  const packages = PACKAGES.map((name) => `node_modules/${name}/package.json`);
  for (const path of [...filesBelow("ui"), ...SHARED, ...packages, "scripts/build-ui.mjs"]) {
    const content = readFileSync(path);
    hash.update(`${path} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

function lastHash() {
  const isBuilt = existsSync(`${OUT}/index.html`) && existsSync(INFO);
  return isBuilt ? readFileSync(INFO, "utf8") : "";
}

/** Writes the compressed forms of each text of the page. */
function compress() {
  for (const path of filesBelow(OUT)) {
    const content = readFileSync(path);
    if (!/\.(?:html|js|css|svg)$/.test(path) || content.length < FEWEST_BYTES) continue;
    writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
    writeFileSync(`${path}.br`, brotliCompressSync(content));
  }
}

const hash = hashOfSources();
if (hash !== lastHash()) {
  const { build } = await import("vite");
  await build({ configFile: "ui/vite.config.mjs", logLevel: "warn" });
  compress();
  writeFileSync(INFO, hash);
}
