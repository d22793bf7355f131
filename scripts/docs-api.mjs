/**
 * `npm run docs:api`: makes what is made from the definitions of the methods: a part of docs/api.md, and
 * three sources of `imagestore/client`. With `--check` it writes nothing, and fails where one of them
 * is not what it would write.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { methodsSource, paramsSource, recordsSource } from "./api/client-types.mjs";
import { apiPart, withPart } from "./api/page.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** A compiled module. @param {string} path */
const compiled = (path) => import(new URL(`../compiled/protocol/${path}`, import.meta.url).href);

const { FAILURES } = await compiled("storage/failures.js");
/** @type {import("./api/page.mjs").Api} */
const api = {
  rows: (await compiled("json-rpc/methods/table.js")).createMethodTable().all,
  definitions: (await compiled("api/definitions.js")).DEFINITIONS,
  records: (await compiled("api/record-schemas.js")).RECORDS,
  common: (await compiled("api/definition.js")).COMMON_FAILURES,
};

/** @param {string} path */
const read = (path) => readFileSync(`${ROOT}/${path}`, "utf8");

/** A source as biome writes it. @param {string} path @param {string} text */
function formatted(path, text) {
  const argv = ["format", `--stdin-file-path=${path}`];
  const { status, stdout, stderr } = spawnSync(`${ROOT}/node_modules/.bin/biome`, argv, {
    cwd: ROOT,
    input: text,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`biome: ${stderr}`);
  return stdout;
}

/** @type {[string, string][]} */
const sources = [
  ["src/client/api-records.ts", recordsSource(api, Object.keys(FAILURES))],
  ["src/client/api-params.ts", paramsSource(api)],
  ["src/client/api-methods.ts", methodsSource(api)],
];
/** @type {[string, string][]} */
const made = [
  ["docs/api.md", withPart(read("docs/api.md"), apiPart(api))],
  ...sources.map(([path, text]) => /** @type {[string, string]} */ ([path, formatted(path, text)])),
];

const isCheck = process.argv.includes("--check");
for (const [path, text] of made) {
  if (!isCheck) writeFileSync(`${ROOT}/${path}`, text);
  else if (read(path) !== text) {
    process.stderr.write(`${path} is not what the definitions say: run \`npm run docs:api\`\n`);
    process.exitCode = 1;
  }
}
