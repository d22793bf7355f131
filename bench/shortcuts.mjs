// @ts-check
import { startEmbedded } from "./lib/daemon.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { loadInTurns, ROUNDS, warmUp } from "./lib/in-turns.mjs";
import { MODULES_CLI, REPLACEMENTS, replacedText, replacingFlags } from "./lib/replacements.mjs";
import { findCall, prepareSmallCalls, QUOTA_BYTES } from "./lib/small-calls.mjs";

/** So many keep the daemon's main thread, where the shortcuts are, busy all the time. */
const CONNECTIONS = 100;
const METHOD = "GetImage";
const AS_IT_IS = "as it is";

/** What takes the place of each shortcut. */
const LIBRARIES = /** @type {const} */ ({
  tally: "calls counted by prom-client",
});

/** @typedef {import("./run.mjs").Tools} Tools */
/** @typedef {import("./lib/in-turns.mjs").Side} Side */

/** @type {import("./run.mjs").Bench} */
export default {
  title: `${METHOD} with each shortcut and with the library in its place, ${CONNECTIONS} connections`,
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const imageService = await serveImage(tools, await packImage(tools, 1));
    for (let run = 0; run < settings.runs; run++) {
      const { sides, stop } = await startSides(tools, imageService);
      for (let round = run * ROUNDS; round < (run + 1) * ROUNDS; round++) {
        const load = { round, connections: CONNECTIONS, seconds: settings.seconds };
        for (const { label, perSecond, cpuUs } of await loadInTurns(sides, load)) {
          add("calls", label, "calls/s", perSecond);
          add("processor time", `${label}: processor`, "µs/call", cpuUs);
          say(`round ${round + 1}: ${label}: ${Math.round(perSecond)} calls/s, ${cpuUs.toFixed(1)} µs/call`);
        }
      }
      await stop();
    }
    for (const library of Object.values(LIBRARIES)) {
      compare({ label: `calls, ${AS_IT_IS} to ${library}`, of: AS_IT_IS, to: library });
      compare({
        label: `processor time of a call, ${AS_IT_IS} to ${library}`,
        of: `${AS_IT_IS}: processor`,
        to: `${library}: processor`,
      });
    }
    note(
      "A shortcut is code that does what a library could do, only faster: src/main/observability/call-tally.ts. " +
        "One daemon runs as it is; the other one has that module replaced as it loads it. " +
        `Each run starts both daemons again and has ${ROUNDS} rounds. In a round they get the same ` +
        "load one after the other, and the order changes from round to round. The tables show each round.",
    );
  },
};

/**
 * Starts the daemon as it is and one for each replacement, on pools with the same contents, and warms them up.
 * @param {Tools} tools @param {string} imageService
 * @returns {Promise<{ sides: Side[], stop: () => Promise<unknown> }>}
 */
async function startSides(tools, imageService) {
  const start = async (
    /** @type {string} */ label,
    /** @type {Parameters<typeof replacingFlags>[0]} */ name,
  ) => {
    const daemon = await startEmbedded(
      tools,
      { imageService },
      { cli: MODULES_CLI, nodeFlags: replacingFlags(name), quotaBytes: QUOTA_BYTES },
    );
    const { request, expected } = findCall(await prepareSmallCalls(daemon.port), METHOD);
    return { ...daemon, label, request, expected };
  };
  const asItIs = await start(AS_IT_IS, "");
  const tally = await start(LIBRARIES.tally, "tally");
  const sides = [asItIs, tally];
  await warmUp(sides, tools.settings.seconds);
  checkLog(asItIs, "");
  checkLog(tally, replacedText(REPLACEMENTS.tally));
  return { sides, stop: () => Promise.all(sides.map((side) => side.stop())) };
}

/**
 * A daemon whose module was not replaced must not pass for one whose module was.
 * @param {{ label: string, log: () => string }} daemon @param {string} expected
 */
function checkLog({ label, log }, expected) {
  if (log() !== expected)
    throw new Error(`${label}: expected the log ${JSON.stringify(expected)}, got ${log()}`);
}
