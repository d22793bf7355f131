// @ts-check
import { must, openConnection, replyOf, requestText } from "./lib/http-client.mjs";
import { commandsRun, startInside, vmCpuSeconds } from "./lib/inside-vm.mjs";
import { sendFor } from "./lib/load.mjs";
import { startVm } from "./lib/vm.mjs";

const CONNECTIONS = 64;
const VOLUMES = 64;
const GUESTS = 50;
const BRIEF_GUESTS = 4;
/** Of each guest a clone and a new disk. They come from this many callers. */
const CALLERS = 16;
const DISK_MIB = 8;
const BARE_CALLS = 20;

/** The ways to a pool, each a daemon on a pool of its own. */
const WAYS = /** @type {const} */ ([
  { label: "by libzfs_core", name: "bench", disk: "/dev/vda", library: "auto" },
  { label: "by commands", name: "other", disk: "/dev/vdb", library: "off" },
]);
const [OURS, COMMANDS] = [WAYS[0].label, WAYS[1].label];
const BARE = "zfs list, one after another";

/** @typedef {import("./run.mjs").Tools} Tools */
/** @typedef {import("./lib/vm.mjs").Vm} Vm */
/** @typedef {(typeof WAYS)[number] & { port: number }} Way */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "calls to real OpenZFS by libzfs_core and by commands, the daemon beside it in a VM",
  run: async (tools) => {
    const { settings, compare, bound, note, say } = tools;
    const vm = await startVm(tools);
    await vm.run("zpool", "create", "-f", "-O", "mountpoint=none", "other", "/dev/vdb");
    /** @type {Way[]} */
    const ways = [];
    for (const way of WAYS) {
      await vm.run("sh", "-c", fill(way.name));
      ways.push({ ...way, port: await startInside(tools, vm, { name: way.name, library: way.library }) });
    }
    for (let run = 0; run < settings.runs; run++) {
      await addBare(tools, vm, WAYS[0].name);
      const inTurn = run % 2 === 0 ? ways : ways.toReversed();
      for (const way of inTurn) {
        say(`run ${run + 1}, ${way.label}`);
        await whileChanging(vm, way, async () => {
          await addLookUps(tools, vm, way, 1, "GetSnapshot, alone");
          await addLookUps(tools, vm, way, CONNECTIONS, "GetSnapshot, 64 connections");
        });
        await addChanges(tools, way, run);
        await addGuests(tools, way, run);
      }
    }
    compare({ label: "GetSnapshot, alone, to commands", ...of("GetSnapshot, alone"), atLeast: 5 });
    compare({
      label: "GetSnapshot, alone, to a bare zfs list",
      ...{ of: `GetSnapshot, alone, ${OURS}`, to: BARE, atLeast: 1 },
    });
    compare({
      label: "processor time of a lone GetSnapshot to that of a bare zfs list",
      ...{ of: `GetSnapshot, alone, ${OURS}: processor`, to: `${BARE}: processor`, atMost: 1 },
    });
    compare({
      label: "GetSnapshot, 64 connections, to commands",
      ...of("GetSnapshot, 64 connections"),
      atLeast: 8,
    });
    for (const method of ["CreateSnapshot", "DeleteSnapshot", "CloneImage"])
      compare({ label: `${method}, 64 at once, to commands`, ...of(method), atLeast: 2 });
    compare({ label: "time for the guests, to commands", ...of("guests"), atMost: 0.4 });
    bound({ label: "commands for the guests", of: `commands for the guests, ${OURS}`, atMost: 0 });
    note(
      "Both daemons run in the VM, which is emulated: a call of the kernel takes some twenty times as long there as on the " +
        "machine itself, and the start of a process too. While look-ups are measured, somebody makes a snapshot in the pool each " +
        "second, so nothing is remembered. A bare zfs list is one command for one name, run by a shell, which is the least " +
        "that a service can do that runs a command for each look-up. Its processor time, like the daemon's, is that of the " +
        "whole VM, kernel included.",
    );
  },
};

/** @param {string} what */
const of = (what) => ({ of: `${what}, ${OURS}`, to: `${what}, ${COMMANDS}` });
const volume = (/** @type {number} */ index) => `old/v${index % VOLUMES}`;

/** A script that makes what is looked up and cloned. @param {string} pool */
function fill(pool) {
  const numbers = Array.from({ length: VOLUMES }, (_, index) => index);
  const made = numbers.map((index) => `zfs create -s -V ${DISK_MIB}M ${pool}/${volume(index)}`);
  const snapshots = numbers.map((index) => `${pool}/${volume(index)}@s`).join(" ");
  return [
    "set -e",
    `zfs set volmode=none ${pool}`,
    `zfs create ${pool}/old`,
    `zfs create ${pool}/images`,
    // An image that a start finds in the pool.
    `zfs create -s -V ${DISK_MIB}M ${pool}/images/golden`,
    `zfs snapshot ${pool}/images/golden@golden`,
    `zfs create -s -V ${DISK_MIB}M ${pool}/writer`,
    ...made,
    `zfs snapshot ${snapshots}`,
  ].join("\n");
}

/** The rate and processor time of commands that a shell runs one after another. @param {Tools} tools @param {Vm} vm @param {string} pool */
async function addBare({ add }, vm, pool) {
  const one = `zfs list -Hp -o name,written ${pool}/${volume(0)}@s >/dev/null`;
  const cpuBefore = await vmCpuSeconds(vm);
  const startedAt = performance.now();
  await vm.run("sh", "-c", `i=0; while [ $i -lt ${BARE_CALLS} ]; do ${one}; i=$((i+1)); done`);
  add("look-ups", BARE, "calls/s", BARE_CALLS / ((performance.now() - startedAt) / 1000));
  const cpuMs = ((await vmCpuSeconds(vm)) - cpuBefore) * 1000;
  add("processor time of a look-up", `${BARE}: processor`, "ms/call", cpuMs / BARE_CALLS);
}

/** Runs `work` while the pool changes each second. @param {Vm} vm @param {Way} way @param {() => Promise<void>} work */
async function whileChanging(vm, { name }, work) {
  const stop = `/tmp/stop-${name}`;
  await vm.run("rm", "-f", stop);
  const loop = vm.run(
    "sh",
    "-c",
    `i=0; while [ ! -e ${stop} ]; do i=$((i+1)); zfs snapshot ${name}/writer@$i; sleep 1; done; zfs destroy ${name}/writer@%`,
  );
  try {
    await work();
  } finally {
    await vm.run("touch", stop);
    await loop;
  }
}

/** @param {Tools} tools @param {Vm} vm @param {Way} way @param {number} connections @param {string} what */
async function addLookUps({ settings, add }, vm, { port, name, label }, connections, what) {
  const cpuBefore = await vmCpuSeconds(vm);
  const got = await sendFor({
    port,
    connections,
    seconds: settings.seconds * 2,
    request: (index) => requestText("GetSnapshot", { id: `${volume(index)}@s` }),
  });
  const cpuMs = ((await vmCpuSeconds(vm)) - cpuBefore) * 1000;
  for (const [index, answer] of got.answers.entries()) {
    const { result, error } = replyOf(answer);
    const id = result?.snapshots?.[0]?.id;
    if (error !== null || id !== `${name}/${volume(index)}@s`) throw new Error(`a wrong answer: ${answer}`);
  }
  add("look-ups", `${what}, ${label}`, "calls/s", got.perSecond);
  add("processor time of a look-up", `${what}, ${label}: processor`, "ms/call", cpuMs / got.replies);
}

/** Snapshots of all volumes at once and their end, and as many clones of one image. @param {Tools} tools @param {Way} way @param {number} run */
async function addChanges({ add }, { port, label }, run) {
  const all = Array.from({ length: VOLUMES }, (_, index) => index);
  const each = async (/** @type {string} */ method, /** @type {(index: number) => object} */ paramsOf) => {
    const seconds = await callAtOnce(port, method, all.map(paramsOf), CONNECTIONS);
    add("changes", `${method}, ${label}`, "calls/s", VOLUMES / seconds);
  };
  await each("CreateSnapshot", (index) => ({ id: volume(index), dest: `r${run}` }));
  await each("DeleteSnapshot", (index) => ({ id: `${volume(index)}@r${run}` }));
  await each("CloneImage", (index) => ({ id: "golden", dest: `new-${run}/v${index}` }));
  await must(port, "DeleteDataset", { id: `new-${run}`, recurse: true });
}

/** @param {Tools} tools @param {Way} way @param {number} run */
async function addGuests({ settings, add }, { port, label }, run) {
  const count = settings.brief ? BRIEF_GUESTS : GUESTS;
  const guests = Array.from({ length: count }, (_, index) => ({
    guest: { id: `r${run}-g${index}`, disks: [{ image: "golden" }, { size: DISK_MIB }] },
  }));
  const before = await commandsRun(port);
  add("guests", `guests, ${label}`, "s", await callAtOnce(port, "CreateGuestDisks", guests, CALLERS));
  add("guests", `commands for the guests, ${label}`, "commands", (await commandsRun(port)) - before);
  for (const { guest } of guests) await must(port, "DeleteGuestsDisks", { guest: { id: guest.id } });
}

/**
 * Makes each call once, so many at a time. Rejects when one fails.
 * @param {number} port @param {string} method @param {readonly object[]} calls @param {number} connections
 * @returns {Promise<number>} how long that took, s
 */
async function callAtOnce(port, method, calls, connections) {
  const opened = await Promise.all(Array.from({ length: connections }, () => openConnection(port)));
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    opened.map(async (connection) => {
      for (let params = calls[next++]; params; params = calls[next++]) {
        const { error } = replyOf(await connection.send(requestText(method, params)));
        if (error !== null) throw new Error(`${method} ${JSON.stringify(params)}: ${JSON.stringify(error)}`);
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  for (const connection of opened) connection.close();
  return seconds;
}
