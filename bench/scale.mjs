// @ts-check
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { openConnection, requestText } from "./lib/http-client.mjs";
import { SNAPSHOT, startWithSnapshots } from "./lib/many-snapshots.mjs";
import { rssMib } from "./lib/process.mjs";
import { repeatCall } from "./lib/repeat-call.mjs";
import { Unavailable } from "./lib/unavailable.mjs";
import { startVm } from "./lib/vm.mjs";

const EMBEDDED_COUNTS = [10, 1_000, 10_000, 100_000];
const FEW = 10;
const MANY_VOLUMES = 100;
const MANY_ROUNDS = 100;
const BRIEF_ROUNDS = 3;
const CONNECTIONS = 64;
const LIMIT = 1.3;

/** @typedef {import("./run.mjs").Tools} Tools */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "GetSnapshot by the number of snapshots in the pool",
  run: async (tools) => {
    await measureEmbedded(tools);
    try {
      await measureOpenZfs(tools);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      tools.note(`Without OpenZFS: ${error.message}`);
    }
  },
};

/** @param {Tools} tools */
async function measureEmbedded(tools) {
  const { add, say } = tools;
  /** @type {Pool[]} */
  const pools = [];
  for (const count of EMBEDDED_COUNTS) {
    const { daemon, startMs } = await startWithSnapshots(tools, count);
    pools.push({ count, port: daemon.port, params: { id: SNAPSHOT } });
    add("start of the daemon", `start, ${count} snapshots, embedded`, "ms", startMs);
    add("memory", `RSS, ${count} snapshots, embedded`, "MiB", rssMib(daemon.pid));
    say(`embedded: ${count} snapshots: started in ${Math.round(startMs)} ms`);
  }
  await measure(tools, "embedded", pools);
  addTargets(tools, "embedded", FEW, 10_000);
}

/** @param {Tools} tools */
async function measureOpenZfs(tools) {
  const { settings, say } = tools;
  const vm = await startVm(tools);
  await vm.run("zpool", "create", "-f", "-O", "mountpoint=none", "many", "/dev/vdb");
  const volumes = (/** @type {string} */ pool, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, index) => `${pool}/guests/g${index}/disk`);
  const few = volumes(POOL, FEW);
  const many = volumes("many", MANY_VOLUMES);
  await vm.run("sh", "-ec", [...few, ...many].map((name) => `zfs create -p -s -V 8M ${name}`).join("\n"));
  await vm.run("zfs", "snapshot", ...few.map((name) => `${name}@s0`));
  // Started before the snapshots exist, because at its start it lists all snapshots to find leftover holds.
  const config = { pools: [vm.pool, { ...vm.pool, name: "many" }] };
  const daemon = await startDaemon(tools, config, { env: vm.env });
  const rounds = settings.brief ? BRIEF_ROUNDS : MANY_ROUNDS;
  for (let round = 0; round < rounds; round++) {
    await vm.run("zfs", "snapshot", ...many.map((name) => `${name}@s${round}`));
  }
  say(`OpenZFS: ${rounds * MANY_VOLUMES} snapshots made`);
  await measure(tools, "OpenZFS", [
    { count: FEW, port: daemon.port, params: { id: "guests/g5/disk@s0" } },
    {
      count: rounds * MANY_VOLUMES,
      port: daemon.port,
      params: { pool: "many", id: `guests/g50/disk@s${Math.floor(rounds / 2)}` },
    },
  ]);
  addTargets(tools, "OpenZFS", FEW, rounds * MANY_VOLUMES);
}

/** @typedef {{ count: number, port: number, params: object }} Pool */

/** @param {Tools} tools @param {string} driver @param {readonly Pool[]} pools */
async function measure({ settings, add, say }, driver, pools) {
  const { seconds } = settings;
  const targets = await Promise.all(
    pools.map(async (pool) => {
      const request = requestText("GetSnapshot", pool.params);
      const connection = await openConnection(pool.port);
      const [, expected = ""] = (await connection.send(request)).split("\r\n\r\n");
      connection.close();
      if (!expected.includes('"error":null')) throw new Error(`GetSnapshot: ${expected}`);
      return { ...pool, request, expected };
    }),
  );
  // Warms up all pools, so that the first one measured has no disadvantage.
  for (const each of targets)
    await repeatCall({ ...each, connections: CONNECTIONS, seconds: Math.min(seconds, 2) });
  for (let run = 0; run < settings.runs; run++) {
    for (const each of targets) {
      const alone = await repeatCall({ ...each, connections: 1, seconds });
      const together = await repeatCall({ ...each, connections: CONNECTIONS, seconds });
      const name = `${each.count} snapshots, ${driver}`;
      add(`latency of one connection, ${driver}`, `p50, ${name}`, "ms", alone.p50Ms);
      add(`${CONNECTIONS} connections, ${driver}`, `rate, ${name}`, "calls/s", together.perSecond);
      say(
        `run ${run + 1}: ${name}: p50 ${alone.p50Ms.toFixed(3)} ms, ${Math.round(together.perSecond)} calls/s`,
      );
    }
  }
}

/** @param {Tools} tools @param {string} driver @param {number} few @param {number} many */
function addTargets({ compare }, driver, few, many) {
  const name = (/** @type {number} */ count) => `${count} snapshots, ${driver}`;
  compare({
    label: `${driver}: p50 with ${many} to that with ${few}`,
    of: `p50, ${name(many)}`,
    to: `p50, ${name(few)}`,
    atMost: LIMIT,
  });
  compare({
    label: `${driver}: rate with ${few} to that with ${many}`,
    of: `rate, ${name(few)}`,
    to: `rate, ${name(many)}`,
    atMost: LIMIT,
  });
}
