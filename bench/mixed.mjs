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

    const gets = settings.brief ? NAMES : GETS;
    const creations = settings.brief ? DATASETS : CREATIONS;
    for (let run = 0; run < settings.runs; run++) {
      for (const [dispatch, label] of Object.entries(MODES)) {
        const daemon = await startDaemon(tools, { pools: [{ ...vm.pool, dispatch }] }, { env: vm.env });
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
        await destroyMade(vm, volumes, `${dispatch}-${run}`, Math.ceil(creations / DATASETS));
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
        "every answer is checked. A process a request is the same daemon with the pool's dispatch set to single.",
    );
  },
};

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
 * @param {import("./lib/vm.mjs").Vm} vm @param {readonly string[]} volumes @param {string} tag @param {number} rounds
 */
async function destroyMade(vm, volumes, tag, rounds) {
  const tags = Array.from({ length: rounds }, (_, round) => `${tag}-${round}`).join(",");
  await vm.run(
    "sh",
    "-c",
    ["set -e", ...volumes.map((id) => `zfs destroy ${POOL}/${id}@${tags}`)].join("\n"),
  );
}
