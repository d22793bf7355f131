// @ts-check

import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { must } from "./lib/http-client.mjs";
import { openFolder, scriptOf, startService } from "./lib/process.mjs";

const MIB = 2 ** 20;
const VOLUME_MIB = 512;
/** Over the link: long enough that its start and its end, which need several times its delay, count for little. */
const LONG_MIB = 2 * 1024;
const BRIEF_MIB = 16;
const GIGABIT = 1e9 / 8;
/** One way: 20 ms there and back. */
const DELAY_MS = 10;
const RATE = 32 * MIB;
/** Of a volume, between two pulls. */
const CHANGED = 0.01;
const LINK = "a link of 1 Gbit/s with 20 ms";
const HELD = `held to ${RATE / MIB} MiB/s`;

/** @typedef {import("./lib/daemon.mjs").Daemon} Daemon */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "a volume to another node",
  run: async (tools) => {
    const { settings, add, bound, compare, note, say } = tools;
    const mib = settings.brief ? BRIEF_MIB : VOLUME_MIB;
    const longMib = settings.brief ? BRIEF_MIB : LONG_MIB;
    const source = await startNode(tools, "one", {});
    const far = await startService(tools, [
      process.execPath,
      ...[scriptOf("slow-link.mjs"), String(source.port), String(GIGABIT), String(DELAY_MS)],
    ]);
    const target = await startNode(tools, "two", {
      near: { url: source.url },
      far: { url: `http://127.0.0.1:${far.firstLine}` },
      slow: { url: source.url, bytesPerSecond: RATE },
    });
    for (let run = 0; run < settings.runs; run++) {
      const id = `guests/g${run}/disk-0`;
      const long = `${id}-long`;
      for (const [name, size] of /** @type {const} */ ([
        [id, mib],
        [long, longMib],
      ])) {
        await must(source.port, "CreateVolume", { id: name, size });
        await write(source, name, 0, size);
        await must(source.port, "CreateSnapshot", { id: name, dest: "s1" });
      }
      /** @type {[peer: string, of: string, label: string, limit: number][]} */
      const ways = [
        ["near", id, "loopback", Number.NaN],
        ["far", long, LINK, GIGABIT],
        ["slow", id, HELD, RATE],
      ];
      for (const [peer, of, label, limit] of ways) {
        const { pulled, seconds } = await pull(target, peer, of, `${id}-${peer}`);
        const rate = pulled.bytes / seconds;
        add("a whole volume", `a pull, ${label}`, "MB/s", rate / 1e6);
        if (!Number.isNaN(limit)) add("of its limit", `share of ${label}`, "×", rate / limit);
        say(`run ${run + 1}: ${label}: ${(rate / 1e6).toFixed(1)} MB/s, ${seconds.toFixed(2)} s`);
      }
      await write(source, id, (mib / 2) * MIB, Math.max(1, Math.round(mib * CHANGED)));
      await must(source.port, "CreateSnapshot", { id, dest: "s2" });
      const { pulled } = await pull(target, "near", id, `${id}-near`);
      const bytes = await download(source, `/snapshots/download?id=${id}@s2&from=${id}@s1`);
      add("bytes of an increment", "pulled", "bytes", pulled.bytes);
      add("bytes of an increment", "of the stream between the two snapshots", "bytes", bytes);
      for (const [peer] of ways)
        await must(target.port, "DeleteDataset", { id: `${id}-${peer}`, recurse: true });
    }
    bound({ label: `a pull over ${LINK}`, of: `share of ${LINK}`, atLeast: 0.9 });
    bound({ label: `a pull ${HELD}, at most`, of: `share of ${HELD}`, atMost: 1.05 });
    bound({ label: `a pull ${HELD}, at least`, of: `share of ${HELD}`, atLeast: 0.95 });
    compare({
      label: `bytes of a pull after ${CHANGED * 100} % has changed, to those of the stream between the snapshots`,
      of: "pulled",
      to: "of the stream between the two snapshots",
      atMost: 1.1,
    });
    note(
      `A volume of ${mib} MiB of random bytes, over the link one of ${longMib} MiB, between two daemons with pools in folders. The link is a process that holds bytes ` +
        "back: it has a delay and a rate, and no loss. Both daemons and the link share the processors of this machine. " +
        "The time of a pull is that of the whole call, with its questions, the last sync and the rename.",
    );
  },
};

/** @param {import("./run.mjs").Tools} tools @param {string} name @param {Record<string, object>} peers */
function startNode(tools, name, peers) {
  const folder = join(openFolder(tools), name);
  return startDaemon(tools, { pools: [{ name: POOL, driver: "embedded", folder }], peers });
}

/** Writes so many random MiB. @param {Daemon} source @param {string} id @param {number} at bytes @param {number} mib */
async function write(source, id, at, mib) {
  const { volumes } = await must(source.port, "GetVolume", { id });
  const file = await open(volumes[0].device, "r+");
  for (let done = 0; done < mib; done++) await file.write(randomBytes(MIB), 0, MIB, at + done * MIB);
  await file.close();
}

/**
 * @param {Daemon} target @param {string} peer @param {string} source @param {string} id
 * @returns {Promise<{ pulled: { bytes: number }, seconds: number }>}
 */
async function pull(target, peer, source, id) {
  const startedAt = performance.now();
  const { pulled } = await must(target.port, "PullVolume", { id, peer, source });
  return { pulled, seconds: (performance.now() - startedAt) / 1000 };
}

/** @param {Daemon} daemon @param {string} path @returns {Promise<number>} how many bytes it has */
async function download({ url }, path) {
  const reply = await fetch(`${url}${encodeURI(path)}`);
  let bytes = 0;
  for await (const chunk of /** @type {AsyncIterable<Uint8Array>} */ (reply.body)) bytes += chunk.length;
  return bytes;
}
