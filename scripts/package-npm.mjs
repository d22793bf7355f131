// npm run package:npm [-- --out FOLDER] [--ignore-scripts]
//
// Makes imagestore-VERSION-PLATFORM-ARCH.tgz: the npm package with all that it depends on, for this
// platform alone. docs/decisions/packaging.md says why. Prints the path of the file. With
// --ignore-scripts it takes dist as it is.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { copyBundle } from "./bundle/bundle.mjs";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
const { platform, arch } = process;
const { values } = parseArgs({
  options: { out: { type: "string", default: "." }, "ignore-scripts": { type: "boolean", default: false } },
});

const readJson = (/** @type {string} */ path) => JSON.parse(readFileSync(path, "utf8"));
const writeJson = (/** @type {string} */ path, /** @type {object} */ value) =>
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`);

/** Packs a folder. @param {string} folder @param {string} to @returns {string} the path of the package */
function pack(folder, to) {
  const argv = [
    "pack",
    "--silent",
    "--pack-destination",
    to,
    ...(values["ignore-scripts"] ? ["--ignore-scripts"] : []),
  ];
  const said = execFileSync("npm", argv, {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  return join(to, said.trim());
}

/** Makes a packed package hold what it depends on. @param {string} stage where it was unpacked */
function bundle(stage) {
  const lock = readJson(join(CHECKOUT, "npm-shrinkwrap.json"));
  const all = copyBundle(CHECKOUT, stage, { platform, arch });
  const { scripts, devDependencies, optionalDependencies, allowScripts, files, ...own } = readJson(
    join(stage, "package.json"),
  );
  const names = Object.keys({ ...own.dependencies, ...optionalDependencies });
  const present = names.filter((name) => all.includes(`node_modules/${name}`));
  writeJson(join(stage, "package.json"), {
    ...own,
    os: [platform],
    cpu: [arch],
    dependencies: Object.fromEntries(
      present.map((name) => [name, lock.packages[`node_modules/${name}`].version]),
    ),
    bundleDependencies: present,
  });
  rmSync(join(stage, "npm-shrinkwrap.json"));
}

if (!existsSync(join(CHECKOUT, "node_modules/sqlite3/build/Release/node_sqlite3.node"))) {
  process.stderr.write(
    "sqlite3 has no binary here, and Node 20 needs one: run `npm ci` where there is a C++ compiler\n",
  );
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "imagestore-package-"));
try {
  execFileSync("tar", ["-xzf", pack(CHECKOUT, folder), "-C", folder]);
  const stage = join(folder, "package");
  bundle(stage);
  const { name, version } = readJson(join(stage, "package.json"));
  const file = resolve(values.out, `${name}-${version}-${platform}-${arch}.tgz`);
  mkdirSync(resolve(values.out), { recursive: true });
  cpSync(pack(stage, folder), file);
  process.stdout.write(`${file}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
