// @ts-check
import { fileURLToPath } from "node:url";
import { debianRoot, inDebianRoot } from "../scripts/parts/debian-root.mjs";
import { nodeFolder } from "../scripts/parts/nodes.mjs";
import { startEmbedded } from "./lib/daemon.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { loadInTurns, ROUNDS, warmUp } from "./lib/in-turns.mjs";
import { runCommand } from "./lib/process.mjs";
import { connectionsText, findCall, prepareSmallCalls, QUOTA_BYTES } from "./lib/small-calls.mjs";
import { Unavailable } from "./lib/unavailable.mjs";

const SUITE = "trixie";
const CONNECTIONS = [1, 100, 1000];
const METHODS = ["GetImage", "GetSnapshot"];
const NEWER = "@btc-vision/uwebsockets.js";
const OLDER = "@trufflesuite/uws-js-unofficial";
const HIDER = fileURLToPath(new URL("../test/support/hide-packages.mjs", import.meta.url));
const BUILDS = new URL("../compiled/main/http/uws-builds.js", import.meta.url).href;

/** What is compared: a release of Node, the build of uWebSockets.js that it takes, and those hidden from it. */
const SIDES = [
  { label: "Node 24, newer build", major: 24, build: NEWER, hidden: "" },
  { label: "Node 20, older build", major: 20, build: OLDER, hidden: NEWER },
];

/** @typedef {import("./run.mjs").Tools} Tools */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "small calls on Node 24 with the newer uWebSockets.js beside Node 20 with the older one",
  run: async (tools) => {
    const { settings, compare, note } = tools;
    requireRoot();
    const imageService = await serveImage(tools, await packImage(tools, 1));
    for (let run = 0; run < settings.runs; run++) {
      const daemons = [];
      for (const side of SIDES) daemons.push(await startSide(tools, side, imageService));
      for (let round = run * ROUNDS; round < (run + 1) * ROUNDS; round++) {
        await addRound(tools, daemons, round);
      }
      await Promise.all(daemons.map(({ stop }) => stop()));
    }
    const [newer, older] = SIDES.map(({ label }) => label);
    for (const connections of CONNECTIONS) {
      for (const method of METHODS) {
        const [of, to] = [`${method}, ${connections}, ${newer}`, `${method}, ${connections}, ${older}`];
        const label = `${method}, ${connectionsText(connections)}`;
        compare({ label: `${label}: calls, Node 24 to Node 20`, of, to });
        compare({
          label: `${label}: processor time of a call, Node 24 to Node 20`,
          of: `${of}: processor`,
          to: `${to}: processor`,
        });
      }
    }
    note(
      "Both daemons run in a root of Debian 13, because the newer build needs its C library, and the client outside of it; " +
        "they share the loopback. " +
        `Each run starts both again and has ${ROUNDS} rounds. In a round both get the same load one after the other, and the ` +
        "order changes from round to round.",
    );
  },
};

function requireRoot() {
  try {
    debianRoot(SUITE);
  } catch (error) {
    throw new Unavailable(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Starts a daemon of one side, which must serve with the build that its name says, and warms it up.
 * @param {Tools} tools @param {typeof SIDES[number]} side @param {string} imageService
 */
async function startSide(tools, { label, major, build, hidden }, imageService) {
  const node = nodeFolder(major);
  const env = { HIDE_PACKAGES: hidden };
  const nodeFlags = ["--import", HIDER];
  const wrap = (/** @type {readonly string[]} */ argv, /** @type {readonly string[]} */ folders) =>
    inDebianRoot(SUITE, [node, ...folders], [`${node}/node`, ...argv.slice(1)]);
  const script = `console.log((await import(${JSON.stringify(BUILDS)})).loadUws().build?.source)`;
  const shown = await runCommand(wrap(["node", ...nodeFlags, "--input-type=module", "-e", script], []), {
    env,
  });
  if (shown.trim() !== build) throw new Error(`${label}: it serves with ${shown.trim()}`);
  const daemon = await startEmbedded(
    tools,
    { imageService, listen: { port: 0, transport: "uws" } },
    { quotaBytes: QUOTA_BYTES, env, nodeFlags, wrap },
  );
  const calls = await prepareSmallCalls(daemon.port);
  const sides = METHODS.map((method) => ({
    label,
    port: daemon.port,
    pid: daemon.pid,
    ...findCall(calls, method),
  }));
  await warmUp(sides, tools.settings.seconds);
  return { sides, stop: daemon.stop };
}

/** @param {Tools} tools @param {readonly { sides: import("./lib/in-turns.mjs").Side[] }[]} daemons @param {number} round */
async function addRound({ settings, add, say }, daemons, round) {
  for (const connections of CONNECTIONS) {
    for (const [index, method] of METHODS.entries()) {
      const sides = daemons.flatMap((daemon) => daemon.sides[index] ?? []);
      const rates = await loadInTurns(sides, { round, connections, seconds: settings.seconds });
      for (const { label, perSecond, cpuUs } of rates) {
        const name = `${method}, ${connections}, ${label}`;
        add(connectionsText(connections), name, "calls/s", perSecond);
        add(`processor time, ${connectionsText(connections)}`, `${name}: processor`, "µs/call", cpuUs);
      }
      const figures = rates.map(
        (rate) => `${Math.round(rate.perSecond)} calls/s, ${rate.cpuUs.toFixed(1)} µs/call`,
      );
      say(`round ${round + 1}: ${method}, ${connectionsText(connections)}: ${figures.join("; ")}`);
    }
  }
}
