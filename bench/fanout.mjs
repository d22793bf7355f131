// @ts-check
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startDownloads } from "./lib/download.mjs";
import { downloadPath, startOnFakePool } from "./lib/fake-pool.mjs";
import { openFolder, scriptOf } from "./lib/process.mjs";

const CLIENTS = 8;
const MEGABYTES_PER_S = 200;
const MIB = 1024 * 1024;

/** @type {import("./run.mjs").Bench} */
export default {
  title: `${CLIENTS} clients of one snapshot at once, with sends of ${MEGABYTES_PER_S} MB/s`,
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const sendsFile = join(openFolder(tools), "sends");
    const producer = `${process.execPath} ${scriptOf("throttled-producer.mjs")} ${MEGABYTES_PER_S}`;
    const daemon = await startOnFakePool(tools, { FAKE_SENDS: sendsFile, FAKE_PRODUCER: producer });
    // One send takes half the time of a run.
    const mib = Math.round((MEGABYTES_PER_S * 1e6 * settings.seconds) / 2 / MIB);
    for (let run = 0; run < settings.runs; run++) {
      for (const count of [1, CLIENTS]) {
        writeFileSync(sendsFile, "");
        const seconds = await startDownloads({ url: daemon.url + downloadPath(mib), count, bytes: mib * MIB })
          .seconds;
        const sends = readFileSync(sendsFile, "utf8").split("\n").length - 1;
        const name = count === 1 ? "one client" : `${count} clients`;
        add("time", `${name}: time`, "s", seconds);
        add("sends", `${name}: sends started`, "sends", sends);
        say(`run ${run + 1}: ${name}: ${seconds.toFixed(2)} s, ${sends} sends`);
      }
    }
    compare({
      label: `time of ${CLIENTS} clients to that of one`,
      of: `${CLIENTS} clients: time`,
      to: "one client: time",
    });
    note(
      `Each client gets ${mib} MiB. One send for all takes as long as one client alone; with a send for each, the processors set the time.`,
    );
  },
};
