// @ts-check
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { openConnection, replyOf, requestText } from "./lib/http-client.mjs";
import { cpuSeconds, openFolder, rssMib } from "./lib/process.mjs";

const FEW = 20;
const MANY = 20_000;
const BRIEF_MANY = 1_000;
const CONNECTIONS = 64;
const CALLS = 100;
const BRIEF_CALLS = 10;
const START_LIMIT_MS = 2_000;
const GROWTH_LIMIT = 1.3;
/** Five times what one sync after another allowed where the target was set. */
const GROUPED_PER_SECOND = 1_000;
const SYNC_BYTES = 4096;
const QUOTA_BYTES = 2 ** 50;

/** @typedef {import("./run.mjs").Tools} Tools */

/** Calls whose cost should not depend on how many volumes there are. `n` is new in each call. */
const METHODS = /** @type {const} */ ([
  ["CreateVolume", (/** @type {string} */ n) => ({ id: `new/${n}`, size: 1 })],
  ["CreateSnapshot", (/** @type {string} */ n) => ({ id: "guests/g0/disk", dest: n })],
  ["VerifyDisks", (/** @type {string} */ n) => ({ guest: { id: n, disks: [{ size: 1 }] } })],
  [
    "CreateGuestDisks",
    (/** @type {string} */ n) => ({ guest: { id: n, disks: [{ size: 1 }, { size: 1 }] } }),
  ],
  ["GetVolume", () => ({ id: "guests/g0/disk" })],
  ["ListVolumes", () => ({ limit: 10 })],
]);

/** @type {import("./run.mjs").Bench} */
export default {
  title: "the cost of calls by the number of volumes in an embedded pool",
  run: async (tools) => {
    const { settings, add, compare, bound, note, say } = tools;
    const many = settings.brief ? BRIEF_MANY : MANY;
    const pools = [];
    for (const count of [FEW, many]) pools.push(await startWithVolumes(tools, count));
    const calls = settings.brief ? BRIEF_CALLS : CALLS;
    for (let run = 0; run < settings.runs; run++) {
      for (const [method, paramsOf] of METHODS) {
        for (const { count, port, pid } of pools) {
          const name = (/** @type {number} */ call) => `r${run}-${method.toLowerCase()}-${call}`;
          const before = cpuSeconds(pid);
          await callInTurn(port, method, (call) => paramsOf(name(call)), calls);
          const ms = ((cpuSeconds(pid) - before) * 1000) / calls;
          add(`processor time, ${method}`, `${method}, ${count} volumes`, "ms/call", ms);
          say(`run ${run + 1}: ${method}, ${count} volumes: ${ms.toFixed(2)} ms of processor time`);
        }
      }
      const { port = 0 } = pools.at(-1) ?? {};
      const perSecond = await snapshotsTogether(port, run, settings.seconds);
      add("snapshots, 64 connections", "CreateSnapshot, 64 connections", "calls/s", perSecond);
      say(`run ${run + 1}: CreateSnapshot, 64 connections: ${Math.round(perSecond)} calls/s`);
      const syncs = syncsPerSecond(join(openFolder(tools), "synced"), settings.seconds);
      add("snapshots, 64 connections", "one sync of a file after another", "calls/s", syncs);
    }
    for (const [method] of METHODS) {
      compare({
        label: `${method}: processor time with ${many} volumes to that with ${FEW}`,
        of: `${method}, ${many} volumes`,
        to: `${method}, ${FEW} volumes`,
        atMost: GROWTH_LIMIT,
      });
    }
    compare({
      label: "CreateSnapshot, 64 connections, to one sync after another",
      of: "CreateSnapshot, 64 connections",
      to: "one sync of a file after another",
    });
    bound({
      label: "CreateSnapshot, 64 connections",
      of: "CreateSnapshot, 64 connections",
      atLeast: GROUPED_PER_SECOND,
    });
    bound({ label: `start with ${many} volumes`, of: `start, ${many} volumes`, atMost: START_LIMIT_MS });
    note(
      `Processor time is that of the daemon, of ${calls} calls one after another, disk and all. The snapshots are of ` +
        `${CONNECTIONS} of ${many} volumes, by turns. The sync is of ${SYNC_BYTES} bytes, which one process writes and syncs.`,
    );
  },
};

/** Starts a daemon on a pool with so many volumes, made by calls, which is then started again. @param {Tools} tools @param {number} count */
async function startWithVolumes(tools, count) {
  const folder = join(openFolder(tools), "pool");
  const config = { pools: [{ name: POOL, driver: "embedded", folder, quotaBytes: QUOTA_BYTES }] };
  const first = await startDaemon(tools, config);
  await callTogether(
    first.port,
    Array.from({ length: count }, (_, index) =>
      requestText("CreateVolume", { id: `guests/g${index}/disk`, size: 1 }),
    ),
  );
  await first.stop();
  const startedAt = performance.now();
  const daemon = await startDaemon(tools, config);
  const ms = performance.now() - startedAt;
  tools.add("start of the daemon", `start, ${count} volumes`, "ms", ms);
  tools.add("memory", `RSS, ${count} volumes`, "MiB", rssMib(daemon.pid));
  tools.say(`${count} volumes: started in ${Math.round(ms)} ms`);
  return { count, port: daemon.port, pid: daemon.pid };
}

/** @param {string} text of a reply */
function check(text) {
  const { error } = replyOf(text);
  if (error !== null) throw new Error(error);
}

/** @param {number} port @param {string} method @param {(call: number) => object} paramsOf @param {number} calls */
async function callInTurn(port, method, paramsOf, calls) {
  const connection = await openConnection(port);
  for (let call = 0; call < calls; call++) check(await connection.send(requestText(method, paramsOf(call))));
  connection.close();
}

/** Sends requests on 64 connections, each as soon as a connection is free. @param {number} port @param {Iterable<string>} requests */
async function callTogether(port, requests) {
  const left = requests[Symbol.iterator]();
  let sent = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const connection = await openConnection(port);
      for (let next = left.next(); !next.done; next = left.next()) {
        sent++;
        check(await connection.send(next.value));
      }
      connection.close();
    }),
  );
  return sent;
}

/** @param {number} port @param {number} run @param {number} seconds @returns {Promise<number>} snapshots a second */
async function snapshotsTogether(port, run, seconds) {
  const startedAt = performance.now();
  function* requests() {
    for (let index = 0; performance.now() - startedAt < seconds * 1000; index++) {
      const id = `guests/g${index % CONNECTIONS}/disk`;
      yield requestText("CreateSnapshot", { id, dest: `r${run}-${index}` });
    }
  }
  const sent = await callTogether(port, requests());
  return (sent * 1000) / (performance.now() - startedAt);
}

/** @param {string} path @param {number} seconds */
function syncsPerSecond(path, seconds) {
  const file = openSync(path, "w");
  const block = Buffer.alloc(SYNC_BYTES, 1);
  const startedAt = performance.now();
  let syncs = 0;
  for (; performance.now() - startedAt < seconds * 1000; syncs++) {
    writeSync(file, block);
    fsyncSync(file);
  }
  const perSecond = (syncs * 1000) / (performance.now() - startedAt);
  closeSync(file);
  return perSecond;
}
