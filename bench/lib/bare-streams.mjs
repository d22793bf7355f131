// @ts-check
/**
 * The references of `streams`: servers that send the output of a command to each client, and do nothing else.
 *   worker  a worker thread reads the command and transfers its buffers, as far as it has credit; the main thread
 *           writes them to the client by uWebSockets.js
 *   http    node:http pipes the command's output to the client, all in one thread
 * Usage: node bare-streams.mjs worker|http COMMAND ARG…
 */

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { loadUws } from "./load-uws.mjs";

const uWS = await loadUws();

const WINDOW_BYTES = 1024 * 1024;

/** @param {number} port */
function sayListening(port) {
  process.stdout.write(`${port}\n`);
}

/** @param {readonly string[]} argv */
function start(argv) {
  const [program = "", ...args] = argv;
  return spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
}

/** @param {readonly string[]} argv */
function serveByHttp(argv) {
  const server = createServer((_request, response) => {
    const child = start(argv);
    child.stdout.pipe(response);
    response.on("close", () => child.kill("SIGKILL"));
  });
  server.listen(0, "127.0.0.1", () => {
    sayListening(/** @type {import("node:net").AddressInfo} */ (server.address()).port);
  });
}

/** The worker thread. Each message has an id and credit; the first message with an id starts its command. */
function readCommands() {
  /** @typedef {{ stdout: import("node:stream").Readable, kill: () => void, credit: number }} Reading */
  /** @type {Map<number, Reading>} */
  const readings = new Map();
  parentPort?.on("message", ({ id, credit, argv }) => {
    const known = readings.get(id);
    if (known) {
      known.credit += credit;
      if (credit === 0) known.kill();
      else if (known.credit > 0) known.stdout.resume();
      return;
    }
    // Credit for a command that has ended.
    if (!argv) return;
    const child = start(argv);
    /** @type {Reading} */
    const reading = { stdout: child.stdout, kill: () => child.kill("SIGKILL"), credit };
    readings.set(id, reading);
    child.stdout.on("data", (/** @type {Buffer} */ chunk) => {
      reading.credit -= chunk.length;
      if (reading.credit <= 0) child.stdout.pause();
      const isWhole = chunk.byteOffset === 0 && chunk.length === chunk.buffer.byteLength;
      const frame = isWhole ? chunk.buffer : new Uint8Array(chunk).buffer;
      parentPort?.postMessage({ id, frame }, [/** @type {ArrayBuffer} */ (frame)]);
    });
    child.stdout.on("end", () => {
      readings.delete(id);
      parentPort?.postMessage({ id });
    });
  });
}

/** @param {readonly string[]} argv */
function serveByWorker(argv) {
  const worker = new Worker(fileURLToPath(import.meta.url));
  /** @type {Map<number, (frame: ArrayBuffer | undefined) => void>} */
  const sinks = new Map();
  worker.on("message", ({ id, frame }) => sinks.get(id)?.(frame));
  let lastId = 0;
  const app = uWS.App().any("/*", (response) => {
    const id = ++lastId;
    let blocked = false;
    let owed = 0;
    const giveCredit = () => {
      if (owed > 0) worker.postMessage({ id, credit: owed });
      owed = 0;
    };
    response.onAborted(() => {
      sinks.delete(id);
      worker.postMessage({ id, credit: 0 });
    });
    response.onWritable(() => {
      blocked = false;
      giveCredit();
      return true;
    });
    sinks.set(id, (frame) => {
      response.cork(() => {
        if (frame) blocked = !response.write(frame);
        else response.end();
      });
      if (!frame) {
        sinks.delete(id);
        return;
      }
      owed += frame.byteLength;
      if (!blocked) giveCredit();
    });
    worker.postMessage({ id, credit: WINDOW_BYTES, argv });
  });
  /** The type declarations of the package lack the overload with a host. @typedef {(host: string, port: number, done: (socket: any) => void) => void} Listen */
  /** @type {Listen} */ (app.listen.bind(app))("127.0.0.1", 0, (socket) => {
    if (!socket) process.exit(1);
    sayListening(uWS.us_socket_local_port(socket));
  });
}

if (isMainThread) {
  const [kind, ...argv] = process.argv.slice(2);
  if (kind === "worker") serveByWorker(argv);
  else serveByHttp(argv);
  // SIGKILL skips the teardown of the native module, which aborts while a thread still runs.
  process.on("SIGTERM", () => process.kill(process.pid, "SIGKILL"));
} else readCommands();
