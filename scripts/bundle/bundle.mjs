/**
 * What a bundle for one platform holds of the installed packages.
 *
 * @typedef {object} Manifest a package.json, or the entry of a package in the lock
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 *
 * @typedef {{ readonly platform: string, readonly arch: string }} Platform
 */

const UWS_NEWER = "node_modules/@btc-vision/uwebsockets.js";
const UWS_OLDER = "node_modules/@trufflesuite/uws-js-unofficial";
const SQLITE = "node_modules/sqlite3";

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
 * pages and what compiles native code don't, and neither do native files for other platforms or for
 * Node before 20.
 * @param {string} path of the package @param {string} inner below it; "" is the package's folder
 * @param {Platform} platform
 */
export function isBundledFile(path, inner, { platform, arch }) {
  if (/\.[cm]?ts$|\.map$|^binding\.gyp$|^\.(?:npm|git)ignore$/.test(inner)) return false;
  if (/^(?:\.github|benchmarks?|docs|examples|specs|tests?)$/.test(inner)) return false;
  const native = /(?:^|\/)uws_(\w+?)_(\w+)_(\d+)\.node$/.exec(inner);
  if (native) return native[1] === platform && native[2] === arch && Number(native[3]) >= 115;
  if (path === UWS_NEWER) return true;
  if (path === UWS_OLDER) return /^(?:|LICENSE|package\.json|src|src\/uws\.js|binaries)$/.test(inner);
  if (path === SQLITE)
    return /^(?:|LICENSE|package\.json|lib(?:\/.*)?|build|build\/Release|build\/Release\/node_sqlite3\.node)$/.test(
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
