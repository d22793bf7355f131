// @ts-check

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, openSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { Transform } from "node:stream";
import { POOL, startDaemon } from "./lib/daemon.mjs";
import { must } from "./lib/http-client.mjs";
import { openFolder, runCommand } from "./lib/process.mjs";
import { startVm } from "./lib/vm.mjs";

const IMAGE_MIB = 95;
const BRIEF_MIB = 8;
const MARK = "imagestore:type=kvm";

/** @type {import("./run.mjs").Bench} */
export default {
  title: "an image of 100 MB into real OpenZFS in a VM, seconds",
  run: async (tools) => {
    const { settings, add, compare, note, say } = tools;
    const vm = await startVm(tools);
    const mib = settings.brief ? BRIEF_MIB : IMAGE_MIB;
    const folder = openFolder(tools);
    const file = join(folder, "image.zfs");
    await sendVolume(vm, mib, file);
    const service = await startThrottledService(tools, file);
    const daemon = await startDaemon(
      tools,
      { pools: [vm.pool], imageService: `127.0.0.1:${service.port}` },
      { env: vm.env },
    );

    // The time of a receive alone gives the speed of a network that is as slow as the pool.
    const receiveS = await secondsOf(() => receiveFile(vm, file));
    const bytesPerS = statSync(file).size / receiveS;
    say(`zfs receive of ${mib} MiB alone: ${receiveS.toFixed(1)} s, ${Math.round(bytesPerS / 1e6)} MB/s`);
    await vm.run("zfs", "destroy", "-r", `${POOL}/received`);

    const speeds = /** @type {const} */ ([
      ["loopback", Number.POSITIVE_INFINITY],
      ["network as fast as the pool", bytesPerS],
    ]);
    const limits = new Map([
      ["loopback", 1.1],
      ["network as fast as the pool", 0.6],
    ]);
    for (let run = 0; run < settings.runs; run++) {
      for (const [speed, limit] of speeds) {
        service.limit(limit);
        const id = `i${run}-${limit === bytesPerS ? "slow" : "fast"}`;
        const ours = await secondsOf(() => must(daemon.port, "RequestImage", { id, type: "kvm" }));
        await must(daemon.port, "DeleteImage", { id });
        const kept = join(folder, "kept.zfs");
        const theirs = await secondsOf(async () => {
          await runCommand([
            "curl",
            "-sSf",
            "-o",
            kept,
            `http://127.0.0.1:${service.port}/images/${id}/download`,
          ]);
          await receiveFile(vm, kept);
        });
        await vm.run("zfs", "destroy", "-r", `${POOL}/received`);
        add(speed, `RequestImage, ${speed}`, "s", ours);
        add(speed, `curl to a file, then zfs receive, ${speed}`, "s", theirs);
        say(`run ${run + 1}: ${speed}: ${ours.toFixed(2)} s, by a file ${theirs.toFixed(2)} s`);
      }
    }
    for (const [speed] of speeds) {
      compare({
        label: `RequestImage to curl and zfs receive, ${speed}`,
        of: `RequestImage, ${speed}`,
        to: `curl to a file, then zfs receive, ${speed}`,
        atMost: /** @type {number} */ (limits.get(speed)),
      });
    }
    note(
      "Over loopback the download itself takes hardly any time, so there is nothing to overlap, and 1 × is the best possible. " +
        "The other network is as fast as a pool that only receives; there 0.5 × is the best possible.",
    );
  },
};

/** How long some work takes. @param {() => Promise<unknown>} work */
async function secondsOf(work) {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

/**
 * Creates a volume of random bytes and sends it into a file.
 * @param {import("./lib/vm.mjs").Vm} vm @param {number} mib @param {string} file
 */
async function sendVolume(vm, mib, file) {
  const device = `/dev/zvol/${POOL}/source`;
  const script = [
    `zfs create -s -V ${mib}M ${POOL}/source`,
    `until [ -b ${device} ]; do sleep 0.1; done`,
    `dd if=/dev/urandom of=${device} bs=1M count=${mib} conv=fsync`,
    `zfs snapshot ${POOL}/source@image`,
  ];
  await vm.run("sh", "-ec", script.join("\n"));
  await runWithFile(vm, ["zfs", "send", `${POOL}/source@image`], ["ignore", openSync(file, "w"), "inherit"]);
}

/** Receives a file with the options that the daemon uses. @param {import("./lib/vm.mjs").Vm} vm @param {string} file */
function receiveFile(vm, file) {
  const properties = ["-o", "compression=lz4", "-o", "readonly=on", "-o", MARK];
  const argv = ["zfs", "receive", "-u", ...properties, `${POOL}/received`];
  return runWithFile(vm, argv, [openSync(file, "r"), "ignore", "inherit"]);
}

/**
 * Runs a command in the VM that reads or writes a file here.
 * @param {import("./lib/vm.mjs").Vm} vm @param {readonly string[]} argv
 * @param {import("node:child_process").StdioOptions} stdio
 */
async function runWithFile(vm, argv, stdio) {
  const child = spawn(vm.exec, argv, { stdio, env: { ...process.env, ...vm.env } });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${argv.join(" ")}: status ${code}`);
}

/**
 * Starts an image service whose speed can be changed. Each response has that speed to itself.
 * @param {import("./lib/releasers.mjs").Releasers} releasers @param {string} file
 */
async function startThrottledService(releasers, file) {
  let bytesPerS = Number.POSITIVE_INFINITY;
  const server = createServer((_request, response) => {
    const startedAt = performance.now();
    let sent = 0;
    const throttle = new Transform({
      transform: (chunk, _encoding, done) => {
        sent += chunk.length;
        const aheadMs = (sent / bytesPerS) * 1000 - (performance.now() - startedAt);
        if (aheadMs > 0) setTimeout(done, aheadMs, null, chunk);
        else done(null, chunk);
      },
    });
    response.writeHead(200, { "Content-Length": statSync(file).size });
    createReadStream(file, { highWaterMark: 256 * 1024 })
      .pipe(throttle)
      .pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  releasers.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const limit = (/** @type {number} */ limitBytesPerS) => {
    bytesPerS = limitBytesPerS;
  };
  return { port, limit };
}
