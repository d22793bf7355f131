// @ts-check
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @typedef {import("./releasers.mjs").Releasers} Releasers */

/** The unit in which Linux shows the processor time of a process. */
const TICKS_PER_S = 100;
/** A service that has not ended by then is killed. */
const STOP_PATIENCE_MS = 20_000;

/** @param {string} name of a script in this folder */
export const scriptOf = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Creates a folder that is removed when the bench ends. @param {Releasers} releasers */
export function openFolder(releasers) {
  const folder = mkdtempSync(join(tmpdir(), "isb-"));
  releasers.defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * A child process of the bench. It prints a line to stdout when it is ready.
 * @typedef {object} Service
 * @property {number} pid
 * @property {string} firstLine that line
 * @property {() => string} log its stderr so far
 * @property {(signal?: NodeJS.Signals) => Promise<number | null>} stop
 */

/**
 * Starts a service and waits until it is ready. Rejects when it ends before that.
 * @param {Releasers} releasers
 * @param {readonly string[]} argv
 * @param {NodeJS.ProcessEnv} [env] on top of the environment of the bench
 * @returns {Promise<Service>}
 */
export async function startService(releasers, argv, env = {}) {
  const [program = "", ...args] = argv;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    // So that Ctrl-C reaches only the bench, which then stops its children in order.
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
 * Runs a command to its end. Resolves to its stdout, rejects when it fails.
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

/** Whether a program is installed. @param {string} name */
export function isInstalled(name) {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, name)));
}

/** Runs its arguments, and then tells its own times and those of its children. */
const TIMED = '"$@" >/dev/null; status=$?; times >&2; exit $status';

/**
 * Runs a command to its end. Resolves to how long that took, and to the processor time of it and its
 * children. Rejects when it fails.
 * @param {readonly string[]} argv
 * @returns {Promise<{ seconds: number, cpuSeconds: number }>}
 */
export function runForTimes(argv) {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const child = spawn("sh", ["-c", TIMED, "sh", ...argv], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => {
      const seconds = (performance.now() - startedAt) / 1000;
      const [, user = "", system = ""] = /([\dm.]+)s ([\dm.]+)s\s*$/.exec(stderr) ?? [];
      const parsed = [user, system].map((text) => {
        const [minutes = 0, rest = 0] = text.split("m").map(Number);
        return minutes * 60 + rest;
      });
      if (code === 0) resolve({ seconds, cpuSeconds: (parsed[0] ?? 0) + (parsed[1] ?? 0) });
      else reject(new Error(`${argv.slice(0, 6).join(" ")}: status ${code}: ${stderr}`));
    });
  });
}

/** @param {number} pid @param {string} field of /proc/PID/status, in kB */
function statusMib(pid, field) {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) / 1024;
}

/** Memory of a process now, MiB. @param {number} pid */
export const rssMib = (pid) => statusMib(pid, "VmRSS");
/** The most memory that a process ever had, MiB. @param {number} pid */
export const highestRssMib = (pid) => statusMib(pid, "VmHWM");
/** pids of the children of a process whose command line has `script`. @param {number} pid @param {string} script */
export const childrenOf = (pid, script) =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const isChild = readFileSync(`/proc/${name}/status`, "utf8").includes(`\nPPid:\t${pid}\n`);
      return isChild && readFileSync(`/proc/${name}/cmdline`, "utf8").includes(script) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });

/** A port of loopback that was free a moment ago. @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** @param {number} pid */
export const descriptorsOf = (pid) => readdirSync(`/proc/${pid}/fd`).length;
/** @param {number} pid */
export const threadsOf = (pid) => readdirSync(`/proc/${pid}/task`).length;

/** Processor time of all threads of a process so far, in seconds. @param {number} pid */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}
