// @ts-check
import { setTimeout as sleep } from "node:timers/promises";
import { startEmbedded } from "./lib/daemon.mjs";
import { must, openConnection, replyOf, requestText } from "./lib/http-client.mjs";
import { packImage, serveImage } from "./lib/image-service.mjs";
import { runCommand } from "./lib/process.mjs";
import { watchProcess } from "./lib/watch.mjs";

const IMAGE_MIB = 8;
const READERS = 16;
const WRITERS = 4;
const DOWNLOADERS = 2;
/** Readers pause between calls, so that the others get their share. */
const READER_PAUSE_MS = 10;
const QUANTITIES = /** @type {const} */ ({ rssMib: "MiB", descriptors: "descriptors", threads: "threads" });

/** @type {import("./run.mjs").Bench} */
export default {
  title:
    "a long mixed load on an embedded pool: memory, descriptors and threads of the daemon, once a second",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const imageService = await serveImage(tools, await packImage(tools, IMAGE_MIB));
    const daemon = await startEmbedded(tools, { imageService });
    const { port } = daemon;
    const requested = await must(port, "RequestImage", { id: "golden", type: "kvm" });
    const snapshot = requested.images[0].snapshot;
    await must(port, "CreateVolume", { id: "guests/g/disk", size: 1 });

    const seconds = settings.soakSeconds;
    const endsAt = performance.now() + seconds * 1000;
    /** @type {Record<string, number>} */
    const done = { calls: 0, changes: 0, downloads: 0, fetches: 0 };
    const isOver = () => performance.now() > endsAt;
    const many = (/** @type {number} */ count, /** @type {(index: number) => Promise<void>} */ work) =>
      Array.from({ length: count }, (_, index) => work(index));
    const call = async (
      /** @type {import("./lib/http-client.mjs").Connection} */ connection,
      /** @type {string} */ method,
      /** @type {object} */ params,
    ) => {
      const { error } = replyOf(await connection.send(requestText(method, params)));
      if (error !== null) throw new Error(`${method} ${JSON.stringify(params)}: ${error}`);
    };

    const read = async () => {
      const connection = await openConnection(port);
      while (!isOver()) {
        await call(connection, "GetImage", { id: "golden" });
        await call(connection, "GetVolume", { id: "guests/g/disk" });
        await call(connection, "ListSnapshots", {});
        done.calls = (done.calls ?? 0) + 3;
        await sleep(READER_PAUSE_MS);
      }
      connection.close();
    };
    const change = async (/** @type {number} */ index) => {
      const connection = await openConnection(port);
      const id = `guests/w${index}/disk`;
      for (let round = 0; !isOver(); round++) {
        await call(connection, "CreateVolume", { id, size: 1 });
        await call(connection, "CreateSnapshot", { id, dest: `s${round}` });
        await call(connection, "DeleteSnapshot", { id: `${id}@s${round}` });
        await call(connection, "DeleteDataset", { id: `guests/w${index}` });
        done.changes = (done.changes ?? 0) + 4;
      }
      connection.close();
    };
    const download = async () => {
      while (!isOver()) {
        await runCommand([
          "curl",
          "-sSf",
          "-o",
          "/dev/null",
          `${daemon.url}/snapshots/download?id=${snapshot}`,
        ]);
        done.downloads = (done.downloads ?? 0) + 1;
      }
    };
    const fetchImages = async () => {
      for (let round = 0; !isOver(); round++) {
        await must(port, "RequestImage", { id: `i${round}`, type: "kvm" });
        await must(port, "DeleteImage", { id: `i${round}` });
        done.fetches = (done.fetches ?? 0) + 1;
      }
    };

    const watch = watchProcess(tools, daemon.pid);
    await Promise.all([
      ...many(READERS, read),
      ...many(WRITERS, change),
      ...many(DOWNLOADERS, download),
      fetchImages(),
    ]);
    const { values, trend } = watch.stop();
    say(JSON.stringify(done));

    for (const [quantity, unit] of /** @type {[keyof typeof QUANTITIES, string][]} */ (
      Object.entries(QUANTITIES)
    )) {
      const { begin, end, highest, perMinute } = trend(quantity);
      const name = quantity === "rssMib" ? "RSS" : quantity;
      add(name, `${name} at the start`, unit, begin);
      add(name, `${name} at the end`, unit, end);
      add(name, `${name} at most`, unit, highest);
      add("growth", `growth of ${name}`, `${unit}/min`, perMinute);
      compare({
        label: `${name} at the end to that at the start`,
        of: `${name} at the end`,
        to: `${name} at the start`,
        atMost: 1.1,
      });
    }
    for (const [name, count] of Object.entries(done)) add("work done", name, `${name}/s`, count / seconds);
    if (daemon.log() !== "") note(`The daemon's log: ${daemon.log().slice(0, 2000)}`);
    note(
      `The load lasts ${seconds} s${settings.full ? "" : " (600 s with BENCH_FULL=1)"}. The start is after a fifth of that time. RSS once a second: ${values.rssMib.map(Math.round).join(" ")} MiB.`,
    );
  },
};
