// @ts-check
import { addLatencies, CALL_CONNECTIONS, CALLS_PER_SECOND, ENDLESS_MIB } from "./lib/call-latencies.mjs";
import { startDownloads } from "./lib/download.mjs";
import { downloadPath, sendCommand, startOnFakePool } from "./lib/fake-pool.mjs";
import { requestText } from "./lib/http-client.mjs";
import {
  childrenOf,
  cpuSeconds,
  freePort,
  highestRssMib,
  rssMib,
  scriptOf,
  startService,
} from "./lib/process.mjs";

const MIB = 1024 * 1024;
const BULK = "imagestore, bulk";
const RING = "imagestore, main port";
const LIMIT = "child to socket";

/** @typedef {{ label: string, pids: readonly number[], url: (mib: number) => string }} Server */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "bulk downloads of zeros, beside a child that writes straight to the client's socket",
  run: async (tools) => {
    const { settings, add, compare, bound, note, say } = tools;
    const sizes = settings.brief ? { one: 512, eight: 128 } : { one: 4096, eight: 1024 };
    const bulkPort = await freePort();
    const listen = { port: 0, bulk: { port: bulkPort } };
    const daemon = await startOnFakePool(tools, {}, { listen });
    const bulkUrl = `http://127.0.0.1:${bulkPort}`;
    const ours = [daemon.pid, ...childrenOf(daemon.pid, "reset-process.js")];
    /** @type {(argv: readonly string[]) => ReturnType<typeof startService>} */
    const startLimit = (argv) =>
      startService(tools, [process.execPath, scriptOf("child-to-socket.mjs"), ...argv]);
    const limits = new Map();
    for (const mib of [sizes.one, sizes.eight, ENDLESS_MIB])
      limits.set(mib, await startLimit(sendCommand(mib)));
    const limitUrl = (/** @type {number} */ mib) => `http://127.0.0.1:${limits.get(mib).firstLine}/`;
    const servers = (/** @type {number} */ mib) => [
      { label: LIMIT, pids: [limits.get(mib).pid], url: limitUrl },
      { label: BULK, pids: ours, url: (/** @type {number} */ each) => bulkUrl + downloadPath(each) },
      { label: RING, pids: ours, url: (/** @type {number} */ each) => daemon.url + downloadPath(each) },
    ];
    const bare = await startService(tools, [process.execPath, scriptOf("bare-rpc.mjs"), "{}"]);
    for (const { url } of servers(sizes.eight))
      await startDownloads({ url: url(sizes.eight), count: 1, bytes: sizes.eight * MIB }).seconds;
    const rssBefore = rssMib(daemon.pid);

    for (let run = 0; run < settings.runs; run++) {
      say(`run ${run + 1}`);
      for (const [count, mib] of /** @type {const} */ ([
        [1, sizes.one],
        [8, sizes.eight],
      ])) {
        await addDownloads(tools, servers(mib), count, mib);
      }
      const request = requestText("GetImage", { id: "none" });
      const endless = bulkUrl + downloadPath(ENDLESS_MIB);
      await addLatencies(tools, { name: "GetImage", port: daemon.port, request, downloadUrl: endless });
      const port = Number(new URL(bare.firstLine).port);
      await addLatencies(tools, { name: "bare call", port, request, downloadUrl: limitUrl(ENDLESS_MIB) });
      if (run === 0) add("memory", "RSS after the first run", "MiB", rssMib(daemon.pid));
    }
    add("memory", "RSS before", "MiB", rssBefore);
    add("memory", "highest RSS", "MiB", highestRssMib(daemon.pid));
    const each = /** @type {const} */ ([
      ["one bulk download", "1 at once"],
      ["eight bulk downloads", "8 at once"],
    ]);
    for (const [what, group] of each) {
      compare({
        label: `${what} to the limit`,
        of: `${BULK}, ${group}`,
        to: `${LIMIT}, ${group}`,
        atLeast: 0.85,
      });
      compare({
        label: `${what} to the main port`,
        of: `${BULK}, ${group}`,
        to: `${RING}, ${group}`,
      });
      bound({ label: `processor time of Node, ${what}`, of: `Node, ${BULK}, ${group}`, atMost: 60 });
    }
    compare({
      label: "p99 of GetImage during eight bulk downloads to that of a bare call during eight at the limit",
      of: "GetImage p99 during eight downloads",
      to: "bare call p99 during eight downloads",
      atMost: 2,
    });
    compare({
      label: "p99 of GetImage during eight bulk downloads to that without",
      of: "GetImage p99 during eight downloads",
      to: "GetImage p99 alone",
    });
    compare({ label: "highest RSS to that before", of: "highest RSS", to: "RSS before", atMost: 1.2 });
    note(
      `One download has ${sizes.one} MiB, each of eight has ${sizes.eight} MiB. Processor time is that of the daemon and of ` +
        "its process that guards connections, without the commands. GetImage is called " +
        `${CALLS_PER_SECOND} times a second over ${CALL_CONNECTIONS} connections. A bare call is answered by a process that ` +
        "does nothing else, while another one serves eight downloads at the limit.",
    );
  },
};

/**
 * Measures `count` downloads at once of `mib` MiB each from every server, one server after the other.
 * @param {import("./run.mjs").Tools} tools @param {readonly Server[]} servers
 * @param {number} count @param {number} mib
 */
async function addDownloads({ add, say }, servers, count, mib) {
  const group = `${count} at once`;
  const cpuOf = (/** @type {readonly number[]} */ pids) =>
    pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  for (const { label, pids, url } of servers) {
    const cpuBefore = cpuOf(pids);
    const seconds = await startDownloads({ url: url(mib), count, bytes: mib * MIB }).seconds;
    const megabytes = (count * mib * MIB) / 1e6;
    const msPerGb = ((cpuOf(pids) - cpuBefore) * 1e6) / megabytes;
    add(group, `${label}, ${group}`, "MB/s", megabytes / seconds);
    add("processor time", `Node, ${label}, ${group}`, "ms/GB", msPerGb);
    say(`${label}, ${group}: ${Math.round(megabytes / seconds)} MB/s, ${msPerGb.toFixed(1)} ms/GB of Node`);
  }
}
