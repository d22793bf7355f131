// @ts-check
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @typedef {import("./releasers.mjs").Releasers} Releasers */

/** Linux counts a process's time in these. */
const TICKS_PER_S = 100;
/** A service that does not end by then is killed. */
const STOP_PATIENCE_MS = 20_000;

/** @param {string} name a script of this folder */
export const scriptOf = (name) => fileURLToPath(new URL(name, import.meta.url));

/** A folder that goes with the bench. @param {Releasers} releasers */
export function openFolder(releasers) {
  const folder = mkdtempSync(join(tmpdir(), "isb-"));
  releasers.defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * A child process of the bench that says on its first line of stdout that it is ready.
 * @typedef {object} Service
 * @property {number} pid
 * @property {string} firstLine what it said
 * @property {() => string} log its stderr so far
 * @property {(signal?: NodeJS.Signals) => Promise<number | null>} stop
 */

/**
 * @param {Releasers} releasers
 * @param {readonly string[]} argv
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<Service>}
 */
export async function startService(releasers, argv, env = {}) {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    // A Ctrl-C is for the bench alone, which then ends its children in order.
    detached: true,
  });
  let log = "";
  child.stderr.on("data", (chunk) => {
    log += chunk;
  });
  /** @type {Promise<number | null>} */
  const exited = new Promise((resolve) => child.once("close", resolve));
  const stop = (/** @type {NodeJS.Signals} */ signal = "SIGTERM") => {
    if (child.exitCode !== null || child.signalCode !== null) return exited;
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_PATIENCE_MS);
    return exited.finally(() => clearTimeout(timer));
  };
  releasers.defer(() => stop());
  const firstLine = await new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) resolve(text.slice(0, end));
    });
    child.once("error", reject);
    void exited.then((code) => reject(new Error(`${argv.join(" ")} ended with ${code}: ${log}`)));
  });
  return { pid: /** @type {number} */ (child.pid), firstLine, log: () => log, stop };
}

/**
 * Runs a command to its end and gives its stdout. Rejects when it fails.
 * @param {readonly string[]} argv
 * @param {{ env?: NodeJS.ProcessEnv, input?: string }} [options]
 * @returns {Promise<string>}
 */
export function runCommand(argv, { env = {}, input = "" } = {}) {
  const [program = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    /** @type {Buffer[]} */
    const stdout = [];
    let stderr = "";
    child.stdout.on("data", (chunk) => stdout.push(chunk));
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(stdout).toString());
      else reject(new Error(`${argv.slice(0, 6).join(" ")}: status ${code}: ${stderr}`));
    });
  });
}

/** @param {number} pid @param {string} field of /proc/PID/status, in kB */
function statusMib(pid, field) {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) / 1024;
}

/** What a process holds in memory now, MiB. @param {number} pid */
export const rssMib = (pid) => statusMib(pid, "VmRSS");
/** The most that it ever held, MiB. @param {number} pid */
export const highestRssMib = (pid) => statusMib(pid, "VmHWM");
/** @param {number} pid */
export const descriptorsOf = (pid) => readdirSync(`/proc/${pid}/fd`).length;
/** @param {number} pid */
export const threadsOf = (pid) => readdirSync(`/proc/${pid}/task`).length;

/** Processor time that a process has had, in seconds. @param {number} pid */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}
