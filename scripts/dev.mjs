/**
 * `npm run dev`: compiles src after every change, and restarts the daemon after every compile
 * without errors. The daemon serves the embedded pool of config/embedded.json, in ./data.
 * Arguments go to `imagestore serve`: `npm run dev -- --log-level info`.
 * The page is built once, at the start; `node scripts/build-ui.mjs` builds it again.
 * A compile error leaves the running daemon as it is. Ctrl-C stops the daemon and the compiler.
 *
 * Not `node --watch`: it does not see the files that the worker threads and child processes
 * load, and it would restart in the middle of a compile.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const COMPILER = "node_modules/typescript/bin/tsc";
const DAEMON = ["compiled/main/cli.js", "serve", "--config", "config/embedded.json"];
/** noEmitOnError is in tsconfig.json too, but a mistake in that file would undo it and write JavaScript beside the sources. */
const COMPILER_FLAGS = ["--watch", "--preserveWatchOutput", "--noEmitOnError"];
/** What `tsc --watch` prints at the end of a compile without errors. */
const COMPILED = /\bFound 0 errors\. Watching for file changes\./;

/** @param {string} text */
function say(text) {
  process.stdout.write(`dev: ${text}\n`);
}

/** Runs the daemon, one at a time. */
function createDaemonRunner() {
  /** The daemon's process, from its spawn to its exit. */
  let daemon = /** @type {import("node:child_process").ChildProcess | undefined} */ (undefined);
  /** The restart in progress waits for the old daemon to exit. It starts what is compiled by then. */
  let isRestarting = false;
  /** True from `end` on: no daemon starts any more. */
  let hasEnded = false;

  function start() {
    // In another process group, so that Ctrl-C in the terminal does not signal the daemon. This
    // script does, and the daemon must not get two signals.
    const child = spawn(process.execPath, [...DAEMON, ...process.argv.slice(2)], {
      detached: true,
      stdio: ["ignore", "inherit", "inherit"],
    });
    daemon = child;
    child.once("exit", (status, signal) => {
      daemon = undefined;
      if (!isRestarting && !hasEnded) {
        say(`the daemon ended with ${signal ?? `status ${status}`}; it starts again after the next change`);
      }
    });
  }

  async function stop() {
    if (!daemon) return;
    const exited = once(daemon, "exit");
    // Only once: a second signal ends the daemon without cleaning up.
    if (!daemon.killed) daemon.kill("SIGTERM");
    await exited;
  }

  return {
    async restart() {
      if (isRestarting || hasEnded) return;
      isRestarting = true;
      await stop();
      isRestarting = false;
      if (!hasEnded) start();
    },
    async end() {
      hasEnded = true;
      await stop();
    },
  };
}

/** @param {() => void} onCompiled called after each compile without errors */
function startCompiler(onCompiled) {
  const colours = process.stdout.isTTY ? ["--pretty"] : [];
  // In another process group, because tsc is a script that starts a binary, and both must end.
  const compiler = spawn(process.execPath, [COMPILER, ...COMPILER_FLAGS, ...colours], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  createInterface({ input: compiler.stdout }).on("line", (line) => {
    process.stdout.write(`${line}\n`);
    if (COMPILED.test(line)) onCompiled();
  });
  return {
    exited: once(compiler, "exit"),
    end() {
      if (compiler.pid !== undefined && compiler.exitCode === null) process.kill(-compiler.pid, "SIGTERM");
    },
  };
}

process.chdir(ROOT);
for (const script of ["scripts/prune-compiled.mjs", "scripts/build-ui.mjs"]) {
  spawnSync(process.execPath, [script], { stdio: "inherit" });
}
const runner = createDaemonRunner();
const compiler = startCompiler(() => void runner.restart());

/** The exit status: 0 after a signal, 1 when the compiler ended by itself. */
const status = await Promise.race([
  // npm passes on the signal that the terminal has sent already, so each may come twice.
  ...["SIGINT", "SIGTERM", "SIGHUP"].map(
    (signal) => new Promise((resolve) => process.on(signal, () => resolve(0))),
  ),
  compiler.exited.then(() => 1),
]);
if (status !== 0) say("the compiler ended");
compiler.end();
await runner.end();
process.exit(status);
