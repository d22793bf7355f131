// @ts-check

import { randomBytes } from "node:crypto";
import { closeSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CLI } from "./lib/daemon.mjs";
import { openFolder, runCommand, scriptOf, startService } from "./lib/process.mjs";

const MIB = 2 ** 20;
const IMAGE_MIB = 512;
const BRIEF_MIB = 32;
const AT_ONCE = [1, 8];
/** Of each way in a run the fastest round counts: what else runs on the machine makes the others slower. */
const ROUNDS = 3;
/** The receiver that does nothing with what it gets. */
const DISCARD = "exec cat >/dev/null";
const IDLE_MS = 60_000;

/** @typedef {{ label: string, file: string, reader: string }} Kind */
/** @typedef {(url: string) => Promise<void>} Fetch */

/** @type {import("./run.mjs").Bench} */
export default {
  title: "images into a receiver that discards them, beside curl piped into the same, MB/s",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const folder = openFolder(tools);
    const mib = settings.brief ? BRIEF_MIB : IMAGE_MIB;
    const kinds = await makeImages(folder, mib);
    const streaming = await openStreaming(folder);
    tools.defer(() => streaming.stop());
    for (const { label, file, reader } of kinds) {
      const service = await startService(tools, [process.execPath, scriptOf("memory-service.mjs"), file]);
      const url = `http://127.0.0.1:${service.firstLine}/image`;
      /** @type {readonly (readonly [string, Fetch])[]} */
      const ways = [
        ["imagestore", streaming.fetch],
        ["curl", (from) => runCommand(["sh", "-c", `curl -sSf ${from} | ${reader}`]).then(() => {})],
      ];
      for (let run = 0; run < settings.runs; run++) {
        for (const count of AT_ONCE) {
          const best = await bestOf(ways, url, count);
          for (const [way, seconds] of best) {
            const rate = (count * statSync(file).size) / 1e6 / seconds;
            add(`${label}, ${count} at once`, `${way}, ${label}, ${count} at once`, "MB/s", rate);
            say(`run ${run + 1}: ${label}, ${count} at once: ${way} ${Math.round(rate)} MB/s`);
          }
        }
      }
      await service.stop();
      for (const count of AT_ONCE) {
        const what = `${label}, ${count} at once`;
        compare({ label: `${what}: to curl`, of: `imagestore, ${what}`, to: `curl, ${what}`, atLeast: 0.8 });
      }
    }
    note(
      "MB/s of the bytes as transferred. This is the daemon's streaming worker, with its further threads, as RequestImage uses " +
        "it: it reads each stream's records, and would refuse one that is cut short or no stream. The service and the " +
        "receivers run on the same processors, for both sides.",
    );
  },
};

/**
 * A stream of a disk, half of it random and half of it text, and the same stream gzipped.
 * @param {string} folder @param {number} mib @returns {Promise<Kind[]>}
 */
async function makeImages(folder, mib) {
  const [raw, stream] = [join(folder, "disk.raw"), join(folder, "image.zfs")];
  const disk = openSync(raw, "w");
  const text = Buffer.alloc(MIB, "guests' disks are volumes, images are volumes with a snapshot.\n");
  for (let at = 0; at < mib; at++) writeSync(disk, at % 2 === 0 ? randomBytes(MIB) : text);
  closeSync(disk);
  await runCommand([process.execPath, CLI, "image", "pack", raw, "-o", stream]);
  await runCommand(["sh", "-c", `gzip -1 -k ${stream}`]);
  return [
    { label: "plain", file: stream, reader: DISCARD },
    { label: "gzip", file: `${stream}.gz`, reader: `gunzip | ${DISCARD}` },
  ];
}

/** The streaming worker of the daemon, without the daemon. @param {string} folder */
async function openStreaming(folder) {
  const path = new URL("../compiled/main/downloads/streaming-lanes.js", import.meta.url).href;
  /** @type {any} compiled */
  const { startStreamingLanes } = await import(path);
  const quiet = () => {};
  const streaming = startStreamingLanes({
    settings: { fetchConnectMs: IDLE_MS, fetchIdleMs: IDLE_MS },
    windowBytes: MIB,
    folder,
    bulk: undefined,
    onFetchEnd: quiet,
    log: { debug: quiet, info: quiet, warn: quiet, error: console.error },
  });
  /** @type {Fetch} */
  const fetch = async (url) => {
    const hosts = { service: new URL(url).host, sources: [] };
    const order = { url, hosts, target: "bench/images/i", command: ["sh", "-c", DISCARD] };
    const outcome = await streaming.fetch("bench", order);
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure));
  };
  return { fetch, stop: () => streaming.stop() };
}

/**
 * Runs each way so often, in turns. @param {readonly (readonly [string, Fetch])[]} ways @param {string} url @param {number} count
 * @returns {Promise<Map<string, number>>} the fewest seconds of each way
 */
async function bestOf(ways, url, count) {
  /** @type {Map<string, number>} */
  const best = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, fetch] of ways) {
      const startedAt = performance.now();
      await Promise.all(Array.from({ length: count }, () => fetch(url)));
      const seconds = (performance.now() - startedAt) / 1000;
      best.set(way, Math.min(best.get(way) ?? Number.POSITIVE_INFINITY, seconds));
    }
  }
  return best;
}
