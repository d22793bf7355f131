// @ts-check
import { startEmbedded } from "./lib/daemon.mjs";
import { callBody } from "./lib/http-client.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { warmUp } from "./lib/in-turns.mjs";
import { repeatByAutocannon } from "./lib/load.mjs";
import { cpuSeconds, scriptOf, startService } from "./lib/process.mjs";
import { repeatCall } from "./lib/repeat-call.mjs";
import { connectionsText, findCall, prepareSmallCalls, QUOTA_BYTES } from "./lib/small-calls.mjs";

const CONNECTIONS = [1, 100, 1000];
const BARE = "bare uWebSockets.js";
/** The headers that uWebSockets.js writes itself. */
const OWN_HEADERS = ["date", "uwebsockets", "content-length"];

/** @type {import("./run.mjs").Bench} */
export default {
  title: "small calls a second, on an embedded pool",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const imageService = await serveImage(tools, await packImage(tools, 1));
    const daemon = await startEmbedded(tools, { imageService }, { quotaBytes: QUOTA_BYTES });
    const calls = await prepareSmallCalls(daemon.port);
    for (const { method } of calls) findCall(calls, method);
    const image = findCall(calls, "GetImage");
    const { request, expected } = image;
    const bare = await startBare(tools, image);
    const targets = [
      { label: BARE, ...bare, request, expected },
      ...calls.map(({ method, ...call }) => ({ label: method, port: daemon.port, pid: daemon.pid, ...call })),
    ];

    await warmUp(targets, settings.seconds);
    for (let run = 0; run < settings.runs; run++) {
      for (const connections of CONNECTIONS) {
        for (const { label, port, pid, request, expected } of targets) {
          const cpuBefore = cpuSeconds(pid);
          const { seconds } = settings;
          const report = await repeatCall({ port, request, expected, connections, seconds });
          const cpuUs = ((cpuSeconds(pid) - cpuBefore) / report.replies) * 1e6;
          const name = `${label}, ${connections}`;
          add(connectionsText(connections), name, "calls/s", report.perSecond);
          add("latency", `${name}: p50`, "ms", report.p50Ms);
          add("latency", `${name}: p99`, "ms", report.p99Ms);
          add("processor time of the server", `${name}: processor`, "µs/call", cpuUs);
          say(
            `run ${run + 1}: ${name}: ${Math.round(report.perSecond)} calls/s, ${cpuUs.toFixed(1)} µs/call`,
          );
        }
      }
      await addAutocannon(tools, [`http://127.0.0.1:${bare.port}`, daemon.url], expected);
    }
    for (const connections of CONNECTIONS) {
      for (const { method } of calls) {
        const isTarget = method === "GetImage" && connections > 1;
        compare({
          label: `${method} to ${BARE}, ${connectionsText(connections)}`,
          of: `${method}, ${connections}`,
          to: `${BARE}, ${connections}`,
          ...(isTarget ? { atLeast: 0.7 } : {}),
        });
      }
    }
    for (const connections of [100, 1000]) {
      compare({
        label: `GetImage to ${BARE}, ${connections} connections, by autocannon`,
        of: `GetImage, ${connections}, autocannon`,
        to: `${BARE}, ${connections}, autocannon`,
        atLeast: 0.7,
      });
    }
    note(
      "The client is part of the bench. autocannon needs more processor time for a call than either server, so it limits " +
        "both alike; its figures are here for comparison. On two cores the daemon's two threads and the client share what the " +
        "reference's single thread and the client have to themselves. The processor time of a call doesn't depend on that.",
    );
  },
};

/**
 * Loads both servers by autocannon.
 * @param {import("./run.mjs").Tools} tools
 * @param {readonly string[]} urls of the bare server and of the daemon
 * @param {string} expected
 */
async function addAutocannon({ settings, add }, urls, expected) {
  const body = callBody("GetImage", { id: "golden" });
  for (const [index, url] of urls.entries()) {
    const { seconds } = settings;
    for (const connections of [100, 1000]) {
      const { perSecond } = await repeatByAutocannon({ url, body, expected, connections, seconds });
      const label = `${index === 0 ? BARE : "GetImage"}, ${connections}, autocannon`;
      add("by autocannon", label, "calls/s", perSecond);
    }
  }
}

/**
 * Starts the reference: a server that answers every request as the daemon answers this call.
 * @param {import("./run.mjs").Tools} tools @param {import("./lib/small-calls.mjs").SmallCall} call
 */
async function startBare(tools, { expected, headers }) {
  const others = headers.filter(([name = ""]) => !OWN_HEADERS.includes(name.toLowerCase()));
  const argv = [process.execPath, scriptOf("bare-rpc.mjs"), expected, JSON.stringify(others)];
  const { pid, firstLine } = await startService(tools, argv);
  return { pid, port: Number(new URL(firstLine).port) };
}
