/** What of node_modules, and which Node, goes into a package for one platform. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The Node inside has a SQLite of its own. */
const NOT_NEEDED = ["sqlite3"];
/** What is for the developers of a package. */
const DEVELOPERS_FOLDERS = new Set([".github", "bench", "benchmark", "docs", "examples", "test", "tests"]);
const DEVELOPERS_FILES = /(\.map|\.ts|\.[cm]ts|\.md|\.markdown|\.yml|\.yaml|^\..*|tsconfig.*\.json)$/;
const LICENSE_FILE = /^(licen[cs]e|notice|copying)/i;

/** @param {string} folder @param {...string} args */
function npm(folder, ...args) {
  const all = [...args, "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", all, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

/**
 * Puts the Node of packaging/node into a folder, as its project publishes it.
 * @param {string} folder
 */
export function installNode(folder) {
  const work = fs.mkdtempSync(join(tmpdir(), "imagestore-node-"));
  try {
    for (const name of ["package.json", "package-lock.json"])
      fs.copyFileSync(`packaging/node/${name}`, join(work, name));
    npm(work, "ci");
    const from = join(work, "node_modules", `node-linux-${process.arch}`);
    fs.mkdirSync(folder, { recursive: true });
    const program = join(folder, "node");
    fs.copyFileSync(join(from, "bin/node"), program);
    fs.chmodSync(program, 0o755);
    const { version } = JSON.parse(fs.readFileSync(join(from, "package.json"), "utf8"));
    return { program, version: String(version), license: fs.readFileSync(join(from, "LICENSE"), "utf8") };
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Installs package.json and its node_modules, with the versions of the lock file, into a folder,
 * and leaves only what the program needs there.
 * @param {string} folder @param {string} abi of the Node that runs it, as process.versions.modules
 */
export function installProduction(folder, abi) {
  const lock = "npm-shrinkwrap.json";
  const manifest = JSON.parse(fs.readFileSync("package.json", "utf8"));
  for (const name of NOT_NEEDED) {
    delete manifest.dependencies?.[name];
    delete manifest.optionalDependencies?.[name];
  }
  delete manifest.devDependencies;
  delete manifest.scripts;
  fs.writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  fs.copyFileSync(lock, join(folder, lock));
  // Not `ci`: it refuses a manifest that lacks what the lock file has.
  npm(folder, "install", "--omit=dev");
  for (const name of [lock, "node_modules/.package-lock.json", "node_modules/.bin"])
    fs.rmSync(join(folder, name), { recursive: true, force: true });
  for (const each of packagesOf(folder)) prune(each, abi);
}

/** @param {string} folder @returns {string[]} the folders of its packages, nested ones after their owners */
function packagesOf(folder) {
  const modules = join(folder, "node_modules");
  if (!fs.existsSync(modules)) return [];
  const names = fs.readdirSync(modules).sort();
  const packages = names.flatMap((name) =>
    name.startsWith("@") ? fs.readdirSync(join(modules, name)).map((inner) => join(name, inner)) : [name],
  );
  return packages.map((name) => join(modules, name)).flatMap((path) => [path, ...packagesOf(path)]);
}

/** @param {string} folder of a package @param {string} abi */
function prune(folder, abi) {
  if (!fs.existsSync(folder)) return;
  const isOurs = (/** @type {string} */ path) =>
    !/uws_/.test(path) || path.endsWith(`uws_linux_${process.arch}_${abi}.node`);
  const natives = filesBelow(folder).filter((path) => path.endsWith(".node"));
  // A build of uWebSockets.js that this Node can't load.
  if (natives.some((path) => !isOurs(path)) && !natives.some((path) => /uws_/.test(path) && isOurs(path)))
    return fs.rmSync(folder, { recursive: true });
  for (const name of fs.readdirSync(folder))
    if (DEVELOPERS_FOLDERS.has(name)) fs.rmSync(join(folder, name), { recursive: true });
  for (const path of filesBelow(folder)) {
    const name = path.split("/").at(-1) ?? "";
    if (LICENSE_FILE.test(name) || path.includes("/node_modules/")) continue;
    if (DEVELOPERS_FILES.test(name) || !isOurs(path)) fs.rmSync(join(folder, path));
  }
  for (const path of fs.readdirSync(folder, { encoding: "utf8", recursive: true }).sort().reverse()) {
    const full = join(folder, path);
    if (fs.statSync(full).isDirectory() && fs.readdirSync(full).length === 0) fs.rmdirSync(full);
  }
}

/** @param {string} folder @returns {string[]} relative to it */
function filesBelow(folder) {
  const all = fs.readdirSync(folder, { encoding: "utf8", recursive: true });
  return all.filter((path) => fs.statSync(join(folder, path)).isFile());
}

/** @param {string} folder with node_modules @returns {string[]} a line for each package */
export function licensesOf(folder) {
  return packagesOf(folder).map((path) => {
    const { name, version, license } = JSON.parse(fs.readFileSync(join(path, "package.json"), "utf8"));
    return `  ${name} ${version}: ${typeof license === "string" ? license : (license?.type ?? "see its folder")}`;
  });
}
