// @ts-check
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { startEmbedded } from "./lib/daemon.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { loadInTurns, ROUNDS, warmUp } from "./lib/in-turns.mjs";
import { commitMeasured } from "./lib/machine.mjs";
import { connectionsText, prepareSmallCalls, QUOTA_BYTES } from "./lib/small-calls.mjs";
import { Unavailable } from "./lib/unavailable.mjs";

const CONNECTIONS = [1, 100, 1000];
/** The least rate of a call, as a part of its rate in the other checkout. */
const AT_LEAST = 0.95;

/** @typedef {import("./run.mjs").Tools} Tools */
/** @typedef {import("./lib/in-turns.mjs").Side} Side */
/** @typedef {{ method: string, sides: Side[] }} Call the sides are now and before */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "small calls on an embedded pool, this checkout beside another one",
  run: async (tools) => {
    const { settings, note } = tools;
    const folder = findOther();
    const imageService = await serveImage(tools, await packImage(tools, 1));
    /** @type {Set<string>} */
    const measured = new Set();
    /** @type {Set<string>} */
    const missing = new Set();
    for (let run = 0; run < settings.runs; run++) {
      const both = await startBoth(tools, folder, imageService);
      for (let round = run * ROUNDS; round < (run + 1) * ROUNDS; round++) {
        await addRound(tools, both.calls, round);
      }
      for (const { method } of both.calls) measured.add(method);
      for (const method of both.missing) missing.add(method);
      await both.stop();
    }
    for (const connections of CONNECTIONS) {
      for (const method of measured) compareSides(tools, method, connections);
    }
    const before = commitMeasured(pathToFileURL(`${folder}/`));
    note(
      `Before is commit ${before}. Each run starts both daemons again, because two starts of one program can differ by some ` +
        `per cent, and has ${ROUNDS} rounds. In a round both daemons get the same load one after the other, and the order ` +
        "changes from round to round. While one is loaded, the other is idle. The tables show each round.",
    );
    if (missing.size > 0) note(`Left out, because one side refuses it: ${[...missing].join(", ")}.`);
  },
};

/** @returns {string} the folder of the other checkout */
function findOther() {
  const folder = process.env.BENCH_BEFORE;
  if (!folder) throw new Unavailable("BENCH_BEFORE=FOLDER names no other checkout to compare with");
  return resolve(folder);
}

/**
 * Starts the daemons of both checkouts, on pools with the same contents, and warms them up.
 * @param {Tools} tools @param {string} folder of the other checkout @param {string} imageService
 * @returns {Promise<{ calls: Call[], missing: string[], stop: () => Promise<unknown> }>}
 *   `calls` are those that both daemons answer without an error, `missing` are the other methods
 */
async function startBoth(tools, folder, imageService) {
  const now = await startEmbedded(tools, { imageService }, { quotaBytes: QUOTA_BYTES });
  const before = await startEmbedded(
    tools,
    { imageService },
    { cli: join(folder, "dist/main/cli.js"), quotaBytes: QUOTA_BYTES },
  );
  const ofNow = await prepareSmallCalls(now.port);
  const ofBefore = await prepareSmallCalls(before.port);
  const pairs = ofNow.map((call, index) => ({
    method: call.method,
    sides: [
      { label: "now", port: now.port, pid: now.pid, ...call },
      { label: "before", port: before.port, pid: before.pid, ...call, ...ofBefore[index] },
    ],
  }));
  const calls = pairs.filter(({ sides }) => sides.every(({ error }) => error === null));
  for (const { sides } of calls) await warmUp(sides, tools.settings.seconds);
  return {
    calls,
    missing: pairs.filter((pair) => !calls.includes(pair)).map(({ method }) => method),
    stop: () => Promise.all([now.stop(), before.stop()]),
  };
}

/** @param {Tools} tools @param {readonly Call[]} calls @param {number} round */
async function addRound({ settings, add, say }, calls, round) {
  for (const connections of CONNECTIONS) {
    const group = connectionsText(connections);
    for (const { method, sides } of calls) {
      const rates = await loadInTurns(sides, { round, connections, seconds: settings.seconds });
      for (const { label, perSecond, cpuUs } of rates) {
        const name = `${method}, ${connections}, ${label}`;
        add(group, name, "calls/s", perSecond);
        add(`processor time, ${group}`, `${name}: processor`, "µs/call", cpuUs);
      }
      const [now, before] = rates;
      if (!now || !before) throw new Error("a side was not measured");
      say(
        `round ${round + 1}: ${method}, ${group}: now ${Math.round(now.perSecond)}, before ${Math.round(before.perSecond)} calls/s, ` +
          `ratio ${(now.perSecond / before.perSecond).toFixed(3)}; ` +
          `now ${now.cpuUs.toFixed(1)}, before ${before.cpuUs.toFixed(1)} µs/call, ratio ${(now.cpuUs / before.cpuUs).toFixed(3)}`,
      );
    }
  }
}

/** @param {Tools} tools @param {string} method @param {number} connections */
function compareSides({ compare }, method, connections) {
  const [of, to] = [`${method}, ${connections}, now`, `${method}, ${connections}, before`];
  const label = `${method}, ${connectionsText(connections)}`;
  compare({ label: `${label}: calls, now to before`, of, to, atLeast: AT_LEAST });
  compare({
    label: `${label}: processor time of a call, now to before`,
    of: `${of}: processor`,
    to: `${to}: processor`,
  });
}
