/**
 * Joins the modules of `compiled` that the program runs, with most of the packages that they import, into the few files of
 * `dist`: a daemon that opens 221 files starts in half the time of one that opens 1,013.
 * docs/decisions/packaging.md has the figures. `dist` has an entry for the command, for each thread and for each child process,
 * at the path where `compiled` has it, and `chunks` of what they share. It gets the modules of the client as they are.
 */
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { rolldown } from "rolldown";

const FROM = "compiled";
const TO = "dist";
/** Made by others: scripts/build-ui.mjs, scripts/sbom.mjs, and the declarations of the client by tsc. */
const KEPT = new Set(["ui", "sbom.json", "client"]);
/** What Node starts by its path. */
const ENTRIES = [
  "main/cli",
  "workers/pool-actor",
  "workers/streaming",
  "workers/runner",
  "workers/sqlite-thread",
  "workers/drivers/embedded/send-process",
  "workers/drivers/embedded/receive-process",
  "workers/streams/copy-process",
  "workers/streams/reset-process",
];
/** They have native code or start threads of their own files, so they stay where npm puts them. */
const LEFT_ALONE = [/^msgpackr/, /^pino$/, /^piscina$/];
/** Stands for the path from a file of `dist` to `dist`, until it is known which file that is. */
const UP = "__UP_TO_DIST__/";

/** A module that finds files from its own place still finds them from the place that it has in `compiled`. @type {import("rolldown").Plugin} */
const keepPlaces = {
  name: "keep-places",
  transform(code, id) {
    const path = relative(FROM, id);
    if (path.startsWith("..") || !code.includes("import.meta.url")) return null;
    const place = `new URL(${JSON.stringify(UP + path)}, import.meta.url).href`;
    return code.replaceAll("import.meta.url", place);
  },
  renderChunk(code, { fileName }) {
    if (!code.includes(UP)) return null;
    return code.replaceAll(UP, `${relative(dirname(fileName), ".") || "."}/`);
  },
};

const bundle = await rolldown({
  input: Object.fromEntries(ENTRIES.map((name) => [name, resolve(FROM, `${name}.js`)])),
  platform: "node",
  external: LEFT_ALONE,
  plugins: [keepPlaces],
  // A warning is a mistake here, such as a module that is not found.
  onLog: (_level, { message }) => {
    throw new Error(message);
  },
});
for (const name of readdirSync(TO)) {
  if (!KEPT.has(name)) rmSync(join(TO, name), { recursive: true });
}
const { output } = await bundle.write({
  dir: TO,
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "chunks/[name]-[hash].js",
});
await bundle.close();
for (const { fileName } of output) {
  if (readFileSync(join(TO, fileName), "utf8").includes(UP))
    throw new Error(`${fileName} looks for its own place`);
}
cpSync(join(FROM, "client"), join(TO, "client"), {
  recursive: true,
  filter: (path) => !path.endsWith(".map"),
});
chmodSync(join(TO, "main/cli.js"), 0o755);
