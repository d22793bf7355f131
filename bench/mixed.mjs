// @ts-check
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { must, replyOf, requestText } from "./lib/http-client.mjs";
import { sendAll } from "./lib/load.mjs";
import { startVm } from "./lib/vm.mjs";

const CONNECTIONS = 64;
const DATASETS = 64;
const NAMES = 200;
/** How much one run does. A process a request may be as slow as three a second in the emulated VM. */
const GETS = 400;
const CREATIONS = 128;
const MODES = /** @type {const} */ ({ single: "a process a request", grouped: "imagestore" });

/** @type {import("./run.mjs").Bench} */
export default {
  title: "calls to real OpenZFS in a VM, 64 connections, a second",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const vm = await startVm(tools);
    const volumes = Array.from({ length: DATASETS }, (_, index) => `guests/g${index}/disk`);
    await vm.run("sh", "-c", makeVolumes(volumes));
    const tags = Array.from({ length: Math.ceil(NAMES / DATASETS) }, (_, index) => `s${index}`);
    for (const tag of tags) await vm.run("zfs", "snapshot", ...volumes.map((id) => `${POOL}/${id}@${tag}`));
    const names = tags.flatMap((tag) => volumes.map((id) => `${id}@${tag}`)).slice(0, NAMES);

    const snapshots = names.map((name) => `${POOL}/${name}`);
    await addCommands(tools, vm, snapshots.slice(0, DATASETS), volumes);

    const gets = settings.brief ? NAMES : GETS;
    const creations = settings.brief ? DATASETS : CREATIONS;
    for (let run = 0; run < settings.runs; run++) {
      for (const [dispatch, label] of Object.entries(MODES)) {
        const daemon = await startDaemon(
          tools,
          { pools: [{ ...vm.pool, dispatch, kstatCommand: [vm.exec, "cat"] }] },
          { env: vm.env },
        );
        await must(daemon.port, "GetSnapshot", { id: names[0] });

        const getNames = Array.from({ length: gets }, (_, index) => names[index % NAMES] ?? "");
        const got = await sendAll({
          port: daemon.port,
          connections: CONNECTIONS,
          requests: getNames.map((id) => requestText("GetSnapshot", { id })),
        });
        checkNames(got.answers, getNames);

        const madeNames = Array.from({ length: creations }, (_, index) => {
          const round = Math.floor(index / DATASETS);
          return `${volumes[index % DATASETS]}@${dispatch}-${run}-${round}`;
        });
        const made = await sendAll({
          port: daemon.port,
          connections: CONNECTIONS,
          requests: madeNames.map((name) => {
            const [id, dest] = name.split("@");
            return requestText("CreateSnapshot", { id, dest });
          }),
        });
        checkNames(made.answers, madeNames);

        for (const [method, report] of Object.entries({ GetSnapshot: got, CreateSnapshot: made })) {
          add(method, `${method}, ${label}`, "calls/s", report.perSecond);
          add("latency", `${method}, ${label}: p50`, "ms", report.p50Ms);
          add("latency", `${method}, ${label}: p99`, "ms", report.p99Ms);
          say(`run ${run + 1}: ${method}, ${label}: ${report.perSecond.toFixed(1)} calls/s`);
        }
        await daemon.stop();
        const rounds = Array.from({ length: Math.ceil(creations / DATASETS) }, (_, round) => round);
        await destroyMade(vm, volumes, rounds.map((round) => `${dispatch}-${run}-${round}`).join(","));
      }
    }
    for (const [method, atLeast] of /** @type {const} */ ([
      ["GetSnapshot", 20],
      ["CreateSnapshot", 8],
    ])) {
      const [to, of] = [`${method}, ${MODES.single}`, `${method}, ${MODES.grouped}`];
      compare({ label: `${method} to a process a request`, of, to, atLeast });
    }
    note(
      `${gets} GetSnapshot over ${NAMES} names and ${creations} CreateSnapshot on ${DATASETS} volumes a run; ` +
        "every answer is checked. A process a request is the same daemon with the pool's dispatch set to single. " +
        "zfs itself needs most of a look-up's time for each further name, so 64 names in two commands on two processors " +
        "can't be 20 times as fast as 64 commands; hundreds of connections would come nearer. Tried: one command at a " +
        "time, which was slower, and channel programs, which are faster for one property of a snapshot, slower " +
        "for all that the driver needs, and can't be delegated to a user who is not root.",
    );
  },
};

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

/** @param {readonly string[]} answers @param {readonly string[]} names what each must be about */
function checkNames(answers, names) {
  for (const [index, answer] of answers.entries()) {
    const { result, error } = replyOf(answer);
    const id = result?.snapshots?.[0]?.id;
    if (error !== null || id !== `${POOL}/${names[index]}`)
      throw new Error(`${names[index]} is answered ${answer}`);
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
