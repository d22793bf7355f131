// @ts-check
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { must, replyOf, requestText } from "./lib/http-client.mjs";
import { sendFor } from "./lib/load.mjs";
import { startVm } from "./lib/vm.mjs";

const CONNECTIONS = 64;
const DATASETS = 64;
const NAMES = 200;
/** How many times longer look-ups are loaded than in other benches: several transaction groups, which come every 5 s. */
const GET_LENGTH = 2;
/** The same for creations. With a process for each request the emulated VM makes a few a second, and all 64 clients need some. */
const CREATE_LENGTH = 3;
const MODES = /** @type {const} */ ({ single: "a process a request", grouped: "imagestore" });

const WRITER = `/dev/zvol/${POOL}/writer`;

/**
 * What else happens to the pool during look-ups: a shell command for the VM to run first, and one to repeat.
 * A guest keeps its disk open, because closing it ends a transaction group, and flushes its data.
 */
const BESIDE = {
  "": undefined,
  ", a guest writing": {
    first: `exec 9>${WRITER}`,
    again: "dd if=/dev/urandom bs=64k count=4 conv=fsync >&9 2>/dev/null; sleep 0.5",
  },
  ", a snapshot made by hand each second": {
    first: "i=0",
    again: `i=$((i+1)); zfs snapshot ${POOL}/writer@$i; sleep 1`,
  },
};
/** The file in the VM that ends the repeated command. */
const STOP = "/tmp/over";

/** @type {import("./run.mjs").Bench} */
export default {
  title: "calls a second to real OpenZFS in a VM, 64 connections",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const vm = await startVm(tools);
    const volumes = Array.from({ length: DATASETS }, (_, index) => `guests/g${index}/disk`);
    await vm.run("sh", "-c", `${makeVolumes(volumes)}\nzfs create -s -V 256M ${POOL}/writer`);
    const tags = Array.from({ length: Math.ceil(NAMES / DATASETS) }, (_, index) => `s${index}`);
    for (const tag of tags) await vm.run("zfs", "snapshot", ...volumes.map((id) => `${POOL}/${id}@${tag}`));
    const names = tags.flatMap((tag) => volumes.map((id) => `${id}@${tag}`)).slice(0, NAMES);

    const name = (/** @type {number} */ index) => /** @type {string} */ (names[index % NAMES]);

    const snapshots = names.map((each) => `${POOL}/${each}`);
    await addCommands(tools, vm, snapshots.slice(0, DATASETS), volumes);

    const getSeconds = settings.seconds * GET_LENGTH;
    const createSeconds = settings.seconds * CREATE_LENGTH;
    for (let run = 0; run < settings.runs; run++) {
      for (const [dispatch, mode] of Object.entries(MODES)) {
        const daemon = await startDaemon(
          tools,
          { pools: [{ ...vm.pool, dispatch, kstatCommand: [vm.exec, "cat"] }] },
          { env: vm.env },
        );
        await must(daemon.port, "GetSnapshot", { id: names[0] });
        const report = (
          /** @type {string} */ table,
          /** @type {string} */ label,
          /** @type {import("./lib/load.mjs").LoadReport} */ rates,
        ) => {
          add(table, label, "calls/s", rates.perSecond);
          add("latency", `${label}: p50`, "ms", rates.p50Ms);
          add("latency", `${label}: p99`, "ms", rates.p99Ms);
          say(`run ${run + 1}: ${label}: ${rates.perSecond.toFixed(1)} calls/s`);
        };

        for (const [beside, work] of Object.entries(BESIDE)) {
          const stopBeside = await startBeside(vm, work);
          const got = await sendFor({
            port: daemon.port,
            connections: CONNECTIONS,
            seconds: getSeconds,
            request: (index) => requestText("GetSnapshot", { id: name(index) }),
          });
          await stopBeside();
          checkNames(got.answers, name);
          report("GetSnapshot", `GetSnapshot${beside}, ${mode}`, got);
        }

        const dest = (/** @type {number} */ index) => `${dispatch}-${run}-${Math.floor(index / DATASETS)}`;
        const made = await sendFor({
          port: daemon.port,
          connections: CONNECTIONS,
          seconds: createSeconds,
          request: (index) =>
            requestText("CreateSnapshot", { id: volumes[index % DATASETS], dest: dest(index) }),
        });
        checkNames(made.answers, (index) => `${volumes[index % DATASETS]}@${dest(index)}`);
        report("CreateSnapshot", `CreateSnapshot, ${mode}`, made);
        await daemon.stop();
        await destroyMade(vm, volumes, [...new Set(made.answers.map((_, index) => dest(index)))].join(","));
      }
    }
    for (const [call, atLeast] of /** @type {const} */ ([
      ["GetSnapshot", 20],
      ["GetSnapshot, a guest writing", undefined],
      ["GetSnapshot, a snapshot made by hand each second", undefined],
      ["CreateSnapshot", 8],
    ])) {
      const [to, of] = [`${call}, ${MODES.single}`, `${call}, ${MODES.grouped}`];
      compare({ label: `${call} to a process a request`, of, to, ...(atLeast && { atLeast }) });
    }
    note(
      `${CONNECTIONS} clients, each with one call in flight, look up ${NAMES} names in turn for ${getSeconds} s, and ` +
        `create snapshots of ${DATASETS} volumes in turn for ${createSeconds} s. Every answer is checked. "A process a ` +
        "request\" is the same daemon with the pool's dispatch set to single. The daemon remembers what it has looked up " +
        "while the pool doesn't change. That gains much on a pool at rest, less beside a guest, whose data goes to the " +
        "disks every 5 s, and nothing when somebody changes datasets all the time. Then look-ups share commands, but each " +
        "further name takes zfs most of the time of a command, so two commands with 64 names on two processors can't be " +
        "20 times as fast as 64 commands.",
    );
  },
};

/**
 * Starts work in the VM that goes on until it is stopped.
 * @param {import("./lib/vm.mjs").Vm} vm @param {{ first: string, again: string } | undefined} work
 * @returns {Promise<() => Promise<void>>} stops it, and destroys the snapshots that it made of the volume `writer`
 */
async function startBeside(vm, work) {
  if (work === undefined) return async () => {};
  await vm.run("rm", "-f", STOP);
  const loop = vm.run("sh", "-ec", `${work.first}; while [ ! -e ${STOP} ]; do ${work.again}; done`);
  return async () => {
    await vm.run("touch", STOP);
    await loop;
    // It fails when there are no snapshots, which is fine.
    await vm.run("sh", "-c", `zfs destroy ${POOL}/writer@% 2>/dev/null; true`);
  };
}

/**
 * Measures how long zfs itself takes for one name and for many, through the script that the daemon uses too.
 * @param {import("./run.mjs").Tools} tools @param {import("./lib/vm.mjs").Vm} vm
 * @param {readonly string[]} snapshots @param {readonly string[]} volumes
 */
async function addCommands({ settings, add }, vm, snapshots, volumes) {
  const many = snapshots.length;
  for (let run = 0; run < settings.runs; run++) {
    for (const count of [1, many]) {
      const names = snapshots.slice(0, count);
      const list = await timed(() => vm.run("zfs", "list", "-Hp", "-d", "0", "-o", "name,written", ...names));
      add("one command", `zfs list of ${count}`, "ms", list);
      const made = volumes.slice(0, count).map((id) => `${POOL}/${id}@command-${count}-${run}`);
      add(
        "one command",
        `zfs snapshot of ${count}`,
        "ms",
        await timed(() => vm.run("zfs", "snapshot", ...made)),
      );
    }
    await destroyMade(vm, volumes.slice(0, 1), `command-1-${run}`);
    await destroyMade(vm, volumes, `command-${many}-${run}`);
  }
}

/** @param {() => Promise<unknown>} work @returns {Promise<number>} ms */
async function timed(work) {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** One script that creates all volumes, because starting a command in the VM is slow. @param {readonly string[]} volumes */
function makeVolumes(volumes) {
  return ["set -e", ...volumes.map((id) => `zfs create -p -s -V 8M ${POOL}/${id}`)].join("\n");
}

/** @param {readonly string[]} answers @param {(index: number) => string} name the snapshot that an answer must describe */
function checkNames(answers, name) {
  for (const [index, answer] of answers.entries()) {
    const { result, error } = replyOf(answer);
    const id = result?.snapshots?.[0]?.id;
    if (error !== null || id !== `${POOL}/${name(index)}`)
      throw new Error(`wrong answer about ${name(index)}: ${answer}`);
  }
}

/**
 * Destroys the snapshots that a run made, so that each run starts with the same ones.
 * @param {import("./lib/vm.mjs").Vm} vm @param {readonly string[]} volumes @param {string} tags with commas
 */
async function destroyMade(vm, volumes, tags) {
  await vm.run(
    "sh",
    "-c",
    ["set -e", ...volumes.map((id) => `zfs destroy ${POOL}/${id}@${tags}`)].join("\n"),
  );
}
