// @ts-check
import { randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled, openFolder, runForTimes } from "./lib/process.mjs";

const CLI = fileURLToPath(new URL("../dist/main/cli.js", import.meta.url));
const MIB = 2 ** 20;
/** Of each command in a run the fastest round counts: what else runs on the machine makes the others slower. */
const ROUNDS = 4;
const SPARSE_GIB = 4;
const SPARSE_TARGET_S = 0.5;

/** @type {import("./run.mjs").Bench} */
export default {
  title: "images of disks, beside copies of the same disks",
  run: async (tools) => {
    const folder = openFolder(tools);
    const at = (/** @type {string} */ name) => join(folder, name);
    const full = tools.settings.brief ? 64 : 512;
    const [disk, sparse, stream] = [at("disk.raw"), at("sparse.raw"), at("disk.zfs")];
    makeDisk(disk, full, [[0, full]]);
    makeDisk(
      sparse,
      SPARSE_GIB * 1024,
      Array.from({ length: 16 }, (_, index) => [index * SPARSE_GIB * 64, 4]),
    );
    await runForTimes(image("pack", disk, "-o", stream));

    const label = `${full} MiB of random data`;
    await measure(tools, "MB/s", label, statSync(disk).size, [
      ["cp", ["cp", disk, at("out")]],
      ["cp and sync", ["sh", "-c", 'cp "$0" "$1" && sync "$1"', disk, at("out")]],
      ["image pack", image("pack", disk, "-o", at("out"))],
      ["image inspect", image("inspect", stream)],
      ["image unpack", image("unpack", stream, "-o", at("out"))],
    ]);
    const sparseLabel = `${SPARSE_GIB} GiB with 64 MiB of data`;
    await measure(tools, "s", sparseLabel, 0, [
      ["cp --sparse=always", ["cp", "--sparse=always", sparse, at("out")]],
      ["image pack", image("pack", sparse, "-o", at("out"))],
      ["the start of Node alone, beside", [process.execPath, "-e", "0"]],
    ]);
    compareAll(tools, label, sparseLabel);
    await measureQemu(tools, at, disk, label);
    tools.note(
      "cp leaves its bytes in memory; imagestore brings them to the disk before a file appears in its place, as cp and sync do. " +
        "The start of Node is part of each of its times.",
    );
  },
};

/** @param {string[]} args */
const image = (...args) => [process.execPath, CLI, "image", ...args];

/** A disk of holes with random data, MiB each, at some MiB. @param {string} path @param {number} mib @param {number[][]} places */
function makeDisk(path, mib, places) {
  const file = openSync(path, "w");
  ftruncateSync(file, mib * MIB);
  for (const [start = 0, length = 0] of places) {
    for (let at = start; at < start + length; at++) writeSync(file, randomBytes(MIB), 0, MIB, at * MIB);
  }
  closeSync(file);
}

/**
 * Runs commands in turns, and adds the fastest round of each and its processor time.
 * @param {import("./run.mjs").Tools} tools
 * @param {"s" | "MB/s"} unit of their speed
 * @param {string} disk a name for it
 * @param {number} bytes
 * @param {readonly (readonly [name: string, argv: readonly string[]])[]} commands the last word that ends in `out` is what they write
 */
async function measure({ settings, add, say }, unit, disk, bytes, commands) {
  for (let run = 0; run < settings.runs; run++) {
    /** @type {Map<string, { seconds: number, cpuSeconds: number }>} */
    const best = new Map();
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, argv] of commands) {
        const times = await runForTimes(argv);
        const target = argv.at(-1);
        if (target?.endsWith("out")) rmSync(target);
        if (times.seconds < (best.get(name)?.seconds ?? Number.POSITIVE_INFINITY)) best.set(name, times);
      }
    }
    for (const [name, { seconds, cpuSeconds }] of best) {
      add(disk, `${name}, ${disk}`, unit, unit === "s" ? seconds : bytes / 1e6 / seconds);
      add(`${disk}: processor time`, `${name}, ${disk}: processor time`, "s", cpuSeconds);
      say(
        `run ${run + 1}: ${name}, ${disk}: ${seconds.toFixed(2)} s, ${cpuSeconds.toFixed(2)} s of processors`,
      );
    }
  }
}

/** @param {import("./run.mjs").Tools} tools @param {string} full @param {string} sparse the names of the disks */
function compareAll({ compare, bound }, full, sparse) {
  for (const command of ["image pack", "image inspect", "image unpack"]) {
    for (const limit of ["cp", "cp and sync"]) {
      const sides = { of: `${command}, ${full}`, to: `${limit}, ${full}` };
      compare({ label: `${command} to ${limit}, ${full}`, ...sides, atLeast: 0.7 });
    }
  }
  bound({ label: `image pack, ${sparse}`, of: `image pack, ${sparse}`, atMost: SPARSE_TARGET_S });
}

/** @param {import("./run.mjs").Tools} tools @param {(name: string) => string} at @param {string} disk @param {string} label */
async function measureQemu(tools, at, disk, label) {
  if (!isInstalled("qemu-img")) {
    tools.note("No qemu-img is installed here, so no qcow2 was packed.");
    return;
  }
  const qcow2 = at("disk.qcow2");
  await runForTimes(["qemu-img", "convert", "-O", "qcow2", disk, qcow2]);
  const name = `${label} in a qcow2`;
  await measure(tools, "MB/s", name, statSync(disk).size, [
    ["qemu-img convert", ["qemu-img", "convert", "-O", "raw", qcow2, at("out")]],
    ["image pack", image("pack", qcow2, "-o", at("out"))],
  ]);
  tools.compare({
    label: `image pack to qemu-img convert, ${name}`,
    of: `image pack, ${name}`,
    to: `qemu-img convert, ${name}`,
  });
}
