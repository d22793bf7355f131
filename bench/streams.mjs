// @ts-check
import { addLatencies, CALL_CONNECTIONS, CALLS_PER_SECOND, ENDLESS_MIB } from "./lib/call-latencies.mjs";
import { startDownloads } from "./lib/download.mjs";
import { downloadPath, sendCommand, startOnFakePool } from "./lib/fake-pool.mjs";
import { requestText } from "./lib/http-client.mjs";
import { cpuSeconds, highestRssMib, rssMib, scriptOf, startService } from "./lib/process.mjs";

const MIB = 1024 * 1024;
const ONE_MIB = 1024;
const EACH_OF_EIGHT_MIB = 256;
const OURS = "imagestore";
const REFERENCES = /** @type {const} */ ({ worker: "bare worker and uWS", http: "bare node:http" });

/** @typedef {{ label: string, pid: number, url: (mib: number) => string }} Server */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "downloads of zeros, which cost nothing to produce, MB/s",
  run: async (tools) => {
    const { settings, add, compare, bound, note, say } = tools;
    const daemon = await startOnFakePool(tools);
    const sizes = settings.brief ? { one: 256, eight: 64 } : { one: ONE_MIB, eight: EACH_OF_EIGHT_MIB };
    const servers = await startServers(tools, daemon, sizes);
    for (const { url } of servers)
      await startDownloads({ url: url(sizes.eight), count: 1, bytes: sizes.eight * MIB }).seconds;
    const floor = await startFloor(tools);
    const rssBefore = rssMib(daemon.pid);

    for (let run = 0; run < settings.runs; run++) {
      say(`run ${run + 1}`);
      for (const [count, mib] of /** @type {const} */ ([
        [1, sizes.one],
        [8, sizes.eight],
      ])) {
        await addDownloads(tools, servers, count, mib);
      }
      const { port, url } = daemon;
      const request = requestText("GetImage", { id: "none" });
      await addLatencies(tools, {
        name: "GetImage",
        port,
        request,
        downloadUrl: url + downloadPath(ENDLESS_MIB),
      });
      await addLatencies(tools, { name: "bare call", request, ...floor });
    }
    add("memory", "RSS before", "MiB", rssBefore);
    add("memory", "highest RSS", "MiB", highestRssMib(daemon.pid));
    compare({
      label: "one download to the best bare pipe",
      of: `${OURS}, 1 at once`,
      to: "best bare, 1 at once",
      atLeast: 0.8,
    });
    compare({
      label: "eight downloads to the best bare pipe",
      of: `${OURS}, 8 at once`,
      to: "best bare, 8 at once",
      atLeast: 0.9,
    });
    compare({
      label: "p99 of GetImage during eight downloads to that without",
      of: "GetImage p99 during eight downloads",
      to: "GetImage p99 alone",
      atMost: 3,
    });
    compare({
      label: "p99 of a bare call during eight bare downloads to that without",
      of: "bare call p99 during eight downloads",
      to: "bare call p99 alone",
    });
    bound({ label: "highest RSS", of: "highest RSS" });
    note(
      `One download has ${sizes.one} MiB, each of eight has ${sizes.eight} MiB. For each the daemon runs five more commands. ` +
        `GetImage is called ${CALLS_PER_SECOND} times a second over ${CALL_CONNECTIONS} connections. Each run chooses its best ` +
        "reference. One process answers the bare calls and does nothing else, while another one serves the downloads: that " +
        "is what the machine itself allows. Tried for the p99 of calls: shorter turns of the downloads, and a lower " +
        "priority for the commands. Neither made a difference.",
    );
  },
};

/**
 * The daemon and the references. A reference serves one size, so there are two of each kind.
 * @param {import("./run.mjs").Tools} tools @param {import("./lib/daemon.mjs").Daemon} daemon
 * @param {{ one: number, eight: number }} sizes in MiB
 * @returns {Promise<Server[]>}
 */
async function startServers(tools, daemon, sizes) {
  /** @type {Server[]} */
  const servers = [{ label: OURS, pid: daemon.pid, url: (mib) => daemon.url + downloadPath(mib) }];
  for (const [kind, label] of Object.entries(REFERENCES)) {
    const bare = async (/** @type {number} */ mib) => {
      const argv = [process.execPath, scriptOf("bare-streams.mjs"), kind, ...sendCommand(mib)];
      const { pid, firstLine } = await startService(tools, argv);
      return { pid, url: `http://127.0.0.1:${firstLine}/` };
    };
    const one = await bare(sizes.one);
    const eight = await bare(sizes.eight);
    servers.push({ label, pid: one.pid, url: (mib) => (mib === sizes.one ? one : eight).url });
  }
  return servers;
}

/**
 * Measures `count` downloads at once of `mib` MiB each from every server, one server after the other.
 * @param {import("./run.mjs").Tools} tools @param {readonly Server[]} servers
 * @param {number} count @param {number} mib
 */
async function addDownloads({ add, say }, servers, count, mib) {
  /** @type {number[]} */
  const references = [];
  const group = `${count} at once`;
  for (const { label, pid, url } of servers) {
    const cpuBefore = cpuSeconds(pid);
    const seconds = await startDownloads({ url: url(mib), count, bytes: mib * MIB }).seconds;
    const megabytes = (count * mib * MIB) / 1e6;
    const rate = megabytes / seconds;
    add(group, `${label}, ${group}`, "MB/s", rate);
    say(`${label}, ${group}: ${Math.round(rate)} MB/s`);
    if (label === OURS) {
      const msPerGb = ((cpuSeconds(pid) - cpuBefore) * 1e6) / megabytes;
      add("processor time", `processor time, ${group}`, "ms/GB", msPerGb);
    } else references.push(rate);
  }
  add(group, `best bare, ${group}`, "MB/s", Math.max(...references));
}

/**
 * Starts what shows the best that calls can have on this machine during downloads: a bare server of calls
 * and a bare server of downloads, in two processes.
 * @param {import("./run.mjs").Tools} tools
 */
async function startFloor(tools) {
  const calls = await startService(tools, [process.execPath, scriptOf("bare-rpc.mjs"), "{}"]);
  const argv = [process.execPath, scriptOf("bare-streams.mjs"), "http", ...sendCommand(ENDLESS_MIB)];
  const streams = await startService(tools, argv);
  const port = Number(new URL(calls.firstLine).port);
  return { port, downloadUrl: `http://127.0.0.1:${streams.firstLine}/` };
}
