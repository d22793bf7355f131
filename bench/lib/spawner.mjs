// @ts-check
/**
 * A process with as much memory as a daemon, which starts commands, for `spawn`.
 * Usage: node spawner.mjs runner|direct RSS-MIB SECONDS; prints commands a second and RSS as JSON.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { rssMib } from "./process.mjs";

const AT_ONCE = 8;
const BALLAST_BYTES = 8 * 1024 * 1024;
const COMMAND = "true";

const [kind = "", wantedMib = "0", secondsText = "0"] = process.argv.slice(2);
const seconds = Number(secondsText);

/** Allocates memory until the process has so much. The memory stays as long as the result is referenced. @param {number} mib */
function growTo(mib) {
  const ballast = [];
  while (rssMib(process.pid) < mib) ballast.push(Buffer.alloc(BALLAST_BYTES, 1));
  return ballast;
}

/** @returns {{ run: () => Promise<unknown>, close: () => Promise<void> }} */
function direct() {
  const run = () =>
    new Promise((resolve, reject) => {
      const child = spawn(COMMAND, [], { stdio: ["ignore", "pipe", "pipe"] });
      child.once("error", reject);
      child.once("close", resolve);
    });
  return { run, close: async () => {} };
}

/** Starts commands as the daemon does. @returns {Promise<ReturnType<typeof direct>>} */
async function throughRunner() {
  const compiled = (/** @type {string} */ path) => new URL(`../../compiled/${path}`, import.meta.url).href;
  /** @type {typeof import("../../src/workers/processes/runner-link.js")} */
  const { startRunner } = await import(compiled("workers/processes/runner-link.js"));
  /** @type {typeof import("../../src/protocol/threads/child-table.js")} */
  const { createChildMemory, createChildTable } = await import(compiled("protocol/threads/child-table.js"));
  const print = (/** @type {string} */ message) => process.stderr.write(`${message}\n`);
  const runner = startRunner({
    script: fileURLToPath(compiled("workers/runner.js")),
    children: createChildTable(createChildMemory()),
    log: { debug: print, info: print, warn: print, error: print },
    silentMs: 60_000,
  });
  const run = async () => {
    const { exit } = await runner.run([COMMAND], { timeoutMs: 10_000, stdoutBytes: 1024 });
    if (exit.kind !== "exited" || exit.code !== 0) throw new Error(`the command: ${JSON.stringify(exit)}`);
  };
  return { run, close: runner.close };
}

/** Runs commands, AT_ONCE at a time. @param {() => Promise<unknown>} run @returns {Promise<number>} commands a second */
async function measureRate(run) {
  const startedAt = performance.now();
  const isOver = () => performance.now() - startedAt > seconds * 1000;
  const counts = await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      let commands = 0;
      for (; !isOver(); commands++) await run();
      return commands;
    }),
  );
  const commands = counts.reduce((sum, count) => sum + count, 0);
  return commands / ((performance.now() - startedAt) / 1000);
}

const ballast = growTo(Number(wantedMib));
const { run, close } = kind === "runner" ? await throughRunner() : direct();
await run();
const perSecond = await measureRate(run);
const report = {
  perSecond,
  rssMib: rssMib(process.pid),
  ballastMib: (ballast.length * BALLAST_BYTES) / 2 ** 20,
};
await close();
process.stdout.write(`${JSON.stringify(report)}\n`);
