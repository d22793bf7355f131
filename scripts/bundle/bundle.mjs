/**
 * What a package for one platform holds of the installed packages.
 *
 * @typedef {object} Manifest a package.json, or the entry of a package in the lock
 * @property {string} [version]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 *
 * @typedef {object} Target what the package is for
 * @property {string} platform
 * @property {string} arch
 * @property {string} [abi] - of the one Node that runs it, as process.versions.modules; without it, of any from 20 on
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const UWS_NEWER = "node_modules/@btc-vision/uwebsockets.js";
export const UWS_OLDER = "node_modules/@trufflesuite/uws-js-unofficial";
export const SQLITE = "node_modules/sqlite3";
const KOFFI = "node_modules/koffi";
/** koffi has a package for each platform, with nothing but its binaries. */
const KOFFI_BINARIES = "node_modules/@koromix/koffi-";
const OLDEST_ABI = 115;

/** Packages of which we load a native file: what they need to run. The rest is for their installation, or unused. */
/** @type {ReadonlyMap<string, readonly string[]>} */
const NEEDS = new Map([
  [UWS_OLDER, []],
  [SQLITE, ["bindings"]],
]);

/** The names of what a package needs to run. @param {string} path @param {Manifest} manifest */
function needsOf(path, manifest) {
  return NEEDS.get(path) ?? Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
}

/**
 * Where Node finds a package from another one.
 * @param {string} from @param {string} name @param {(path: string) => boolean} isThere
 * @returns {string | undefined}
 */
function findFrom(from, name, isThere) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (isThere(path)) return path;
    if (folder === "") return undefined;
  }
}

/**
 * The paths of all that the program needs to run and that is installed.
 * @param {Record<string, Manifest>} locked the packages of the lock, by path; the program's own is ""
 * @param {(path: string) => boolean} isInstalled
 * @returns {string[]} sorted
 */
export function bundledPackages(locked, isInstalled) {
  const isThere = (/** @type {string} */ path) => path in locked && isInstalled(path);
  const found = new Set([""]);
  for (const path of found) {
    for (const name of needsOf(path, locked[path] ?? {})) {
      const needed = findFrom(path, name, isThere);
      if (needed !== undefined) found.add(needed);
    }
  }
  found.delete("");
  return [...found].sort();
}

/**
 * Whether a file or folder of a package belongs into the bundle: sources in TypeScript, maps, tests,
 * pages, settings of tools and what compiles native code don't, and neither do native files that the
 * target can't load. Licences do.
 * @param {string} path of the package @param {string} inner below it
 * @param {Target} target
 */
export function isBundledFile(path, inner, { platform, arch, abi }) {
  const name = inner.split("/").at(-1) ?? "";
  if (/^(?:licen[cs]e|notice|copying)/i.test(name)) return true;
  if (/\.[cm]?ts$|\.map$|\.md$|\.markdown$|\.ya?ml$|^tsconfig.*\.json$|^binding\.gyp$|^\./.test(name))
    return false;
  if (/^(?:bench|benchmarks?|docs|examples|specs|tests?)$/.test(inner)) return false;
  const native = /(?:^|\/)uws_(\w+?)_(\w+)_(\d+)\.node$/.exec(inner);
  if (native) {
    const isOurs = abi === undefined ? Number(native[3]) >= OLDEST_ABI : native[3] === abi;
    return native[1] === platform && native[2] === arch && isOurs;
  }
  if (path === UWS_NEWER) return true;
  if (path === UWS_OLDER) return /^(?:package\.json|src|src\/uws\.js|binaries)$/.test(inner);
  if (path === KOFFI)
    return /^(?:package\.json|index\.c?js|src|src\/koffi|src\/koffi\/index\.c?js)$/.test(inner);
  if (path.startsWith(KOFFI_BINARIES)) return path === `${KOFFI_BINARIES}${platform}-${arch}`;
  if (path === SQLITE)
    return /^(?:package\.json|lib(?:\/.*)?|build|build\/Release|build\/Release\/node_sqlite3\.node)$/.test(
      inner,
    );
  return true;
}

/**
 * The package.json of a package in the bundle. npm would fetch what it names and the bundle lacks,
 * would run its scripts, and would pack only its `files`, of which a compiled binary is none.
 * @template {Manifest & { scripts?: object, devDependencies?: object, gypfile?: boolean, files?: string[] }} M
 * @param {string} path @param {M} manifest @param {readonly string[]} all the paths in the bundle
 */
export function manifestInBundle(path, manifest, all) {
  const { scripts, devDependencies, optionalDependencies, dependencies, gypfile, files, ...rest } = manifest;
  const isThere = (/** @type {string} */ found) => all.includes(found);
  const named = { ...dependencies, ...optionalDependencies };
  const kept = needsOf(path, manifest).filter((name) => findFrom(path, name, isThere) !== undefined);
  return { ...rest, dependencies: Object.fromEntries(kept.map((name) => [name, named[name]])) };
}

/** @param {string} path */
const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/**
 * The files of a package that belong into the bundle.
 * @param {string} from where it is installed @param {string} path @param {Target} target @param {string} inner
 * @returns {string[]} relative to it
 */
function filesOf(from, path, target, inner = "") {
  return readdirSync(join(from, inner), { withFileTypes: true }).flatMap((entry) => {
    const name = inner === "" ? entry.name : `${inner}/${entry.name}`;
    // What lies in its own node_modules are packages too.
    if (name === "node_modules" || !isBundledFile(path, name, target)) return [];
    return entry.isDirectory() ? filesOf(from, path, target, name) : [name];
  });
}

/**
 * Copies what the program needs to run of a checkout's node_modules, with the versions of the lock.
 * @param {string} checkout @param {string} to a folder @param {Target} target
 * @param {readonly string[]} without paths of packages that the target has no use for
 * @returns {string[]} the paths of the packages
 */
export function copyBundle(checkout, to, target, without = []) {
  const { packages } = readJson(join(checkout, "npm-shrinkwrap.json"));
  const isInstalled = (/** @type {string} */ path) =>
    !without.includes(path) && existsSync(join(checkout, path, "package.json"));
  const all = bundledPackages(packages, isInstalled);
  for (const path of all) {
    const from = join(checkout, path);
    const manifest = readJson(join(from, "package.json"));
    if (manifest.version !== packages[path].version)
      throw new Error(
        `${path} has version ${manifest.version}, and not the one that is locked: run \`npm ci\``,
      );
    for (const inner of filesOf(from, path, target)) {
      mkdirSync(dirname(join(to, path, inner)), { recursive: true });
      copyFileSync(join(from, inner), join(to, path, inner));
    }
    const reduced = manifestInBundle(path, manifest, all);
    writeFileSync(join(to, path, "package.json"), `${JSON.stringify(reduced, undefined, 2)}\n`);
  }
  return all;
}
