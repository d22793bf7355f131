// Other releases of Node, from npm's packages of its binaries, kept in the user's cache.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "imagestore");

/**
 * The folder of a release's program `node`. Installs it where it is missing.
 * @param {number} major - 20, 22, …
 */
export function nodeFolder(major) {
  const name = `node-${process.platform}-${process.arch}`;
  const prefix = join(CACHE, "nodes", String(major));
  const folder = join(prefix, "node_modules", name, "bin");
  if (existsSync(join(folder, "node"))) return folder;
  mkdirSync(prefix, { recursive: true });
  const argv = [
    "install",
    "--prefix",
    prefix,
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    `${name}@${major}`,
  ];
  const { status, stderr, error } = spawnSync("npm", argv, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Node ${major} can't be installed: ${error?.message ?? stderr.trim()}`);
  return folder;
}

/** The PATH on which `node` is the one of a folder. @param {string} folder */
export function pathWith(folder) {
  return `${folder}${delimiter}${process.env.PATH}`;
}
