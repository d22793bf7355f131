// @ts-check
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

const ROOT = new URL("../../", import.meta.url);
const PACKAGES = [
  "@btc-vision/uwebsockets.js",
  "@trufflesuite/uws-js-unofficial",
  "autocannon",
  "msgpackr",
  "piscina",
  "sqlite3",
  "undici",
];

/** What a measurement depends on, apart from the code. */
export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
  };
}

/** @param {string} name of a package */
function versionOf(name) {
  const file = new URL(`node_modules/${name}/package.json`, ROOT);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : "not installed";
}

/** The commit of a checkout, with `+` when its src has changes on top. @param {URL} root its folder, this one's by default */
export function commitMeasured(root = ROOT) {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "src") === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}

/** How many processes of the machine ran or wanted to run, on average over the last minute. */
export function loadAverage() {
  return Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]);
}
