// @ts-check
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { must, replyOf, requestText } from "./lib/http-client.mjs";
import { sendFor } from "./lib/load.mjs";
import { startVm } from "./lib/vm.mjs";

const CONNECTIONS = 64;
const DATASETS = 64;
const NAMES = 200;
/** Look-ups last as many runs of other benches: for several transaction groups, which a pool at rest has every 5 s too. */
const GET_LENGTH = 2;
/** A process a request makes a few a second in the emulated VM: each of 64 clients has to have some. */
const CREATE_LENGTH = 3;
const MODES = /** @type {const} */ ({ single: "a process a request", grouped: "imagestore" });

const WRITER = `/dev/zvol/${POOL}/writer`;

/**
 * What else happens to the pool during look-ups, as sh in the VM: once, then again and again. A guest
 * keeps its disk open, for closing it ends a transaction group, and has its data flushed.
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
const STOP = "/tmp/over";

/** @type {import("./run.mjs").Bench} */
export default {
  title: "calls to real OpenZFS in a VM, 64 connections, a second",
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
        const tell = (
          /** @type {string} */ table,
          /** @type {string} */ label,
          /** @type {import("./lib/load.mjs").LoadReport} */ report,
        ) => {
          add(table, label, "calls/s", report.perSecond);
          add("latency", `${label}: p50`, "ms", report.p50Ms);
          add("latency", `${label}: p99`, "ms", report.p99Ms);
          say(`run ${run + 1}: ${label}: ${report.perSecond.toFixed(1)} calls/s`);
        };

        for (const [beside, work] of Object.entries(BESIDE)) {
          const end = await startBeside(vm, work);
          const got = await sendFor({
            port: daemon.port,
            connections: CONNECTIONS,
            seconds: getSeconds,
            request: (index) => requestText("GetSnapshot", { id: name(index) }),
          });
          await end();
          checkNames(got.answers, name);
          tell("GetSnapshot", `GetSnapshot${beside}, ${mode}`, got);
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
        tell("CreateSnapshot", `CreateSnapshot, ${mode}`, made);
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
      `${CONNECTIONS} clients, each with one call under way, ask for ${NAMES} names in turn for ${getSeconds} s, and ` +
        `make snapshots of ${DATASETS} volumes in turn for ${createSeconds} s; every answer is checked. A process a ` +
        "request is the same daemon with the pool's dispatch set to single. What look-ups found is remembered while " +
        "the pool does not change: that is worth much on a pool at rest, less beside a guest, whose data goes to the " +
        "disks every 5 s, and nothing where somebody changes datasets all the time; then look-ups share commands, and " +
        "zfs needs most of a command's time for each further name, so 64 names in two commands on two processors " +
        "can't be 20 times as fast as 64 commands.",
    );
  },
};

/**
 * Does something in the VM until it is ended.
 * @param {import("./lib/vm.mjs").Vm} vm @param {{ first: string, again: string } | undefined} work
 * @returns {Promise<() => Promise<void>>} ends it, and undoes what it did to the volume `writer`
 */
async function startBeside(vm, work) {
  if (work === undefined) return async () => {};
  await vm.run("rm", "-f", STOP);
  const loop = vm.run("sh", "-ec", `${work.first}; while [ ! -e ${STOP} ]; do ${work.again}; done`);
  return async () => {
    await vm.run("touch", STOP);
    await loop;
    // Without snapshots that is no mistake.
    await vm.run("sh", "-c", `zfs destroy ${POOL}/writer@% 2>/dev/null; true`);
  };
}

/**
 * What zfs itself takes for one name and for many, through the same script as the daemon's commands.
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

/** @param {readonly string[]} volumes @returns {string} one script, for a command costs */
function makeVolumes(volumes) {
  return ["set -e", ...volumes.map((id) => `zfs create -p -s -V 8M ${POOL}/${id}`)].join("\n");
}

/** @param {readonly string[]} answers @param {(index: number) => string} name what each must be about */
function checkNames(answers, name) {
  for (const [index, answer] of answers.entries()) {
    const { result, error } = replyOf(answer);
    const id = result?.snapshots?.[0]?.id;
    if (error !== null || id !== `${POOL}/${name(index)}`)
      throw new Error(`${name(index)} is answered ${answer}`);
  }
}

/**
 * Each run begins with the same snapshots.
 * @param {import("./lib/vm.mjs").Vm} vm @param {readonly string[]} volumes @param {string} tags with commas
 */
async function destroyMade(vm, volumes, tags) {
  await vm.run(
    "sh",
    "-c",
    ["set -e", ...volumes.map((id) => `zfs destroy ${POOL}/${id}@${tags}`)].join("\n"),
  );
}
