// @ts-check
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runCommand } from "./process.mjs";
import { Unavailable } from "./unavailable.mjs";

const SCRIPTS = fileURLToPath(new URL("../../test/openzfs-vm/", import.meta.url));
const EXEC = join(SCRIPTS, "exec.sh");

/**
 * A VM with real OpenZFS and the pool `bench` in it.
 * @typedef {object} Vm
 * @property {NodeJS.ProcessEnv} env the environment that its scripts and a daemon that uses them need
 * @property {string} exec the script that runs a command in it
 * @property {(...argv: string[]) => Promise<string>} run runs a command in it
 * @property {Record<string, unknown>} pool its pool, as a daemon's configuration names it
 */

/**
 * Boots a VM that stops with the bench. Throws Unavailable where none can be built.
 * @param {import("./releasers.mjs").Releasers} releasers
 * @returns {Promise<Vm>}
 */
export async function startVm(releasers) {
  await runCommand([join(SCRIPTS, "build.sh")]).catch((error) => {
    throw new Unavailable(`no VM with OpenZFS can be built here: ${error.message}`);
  });
  // A short path: the folder holds a unix socket, whose path is limited to 107 bytes.
  const parent = mkdtempSync(join(tmpdir(), "isb-"));
  releasers.defer(() => rmSync(parent, { recursive: true, force: true }));
  const env = { OPENZFS_VM_RUN: join(parent, "vm") };
  releasers.defer(() => runCommand([join(SCRIPTS, "stop.sh")], { env }));
  const machine = {
    VM_SHARE: "/",
    VM_POOL: "",
    VM_DISKS: "8G,8G",
    VM_MEM: "3G",
    VM_OWNER: String(process.pid),
  };
  await runCommand([join(SCRIPTS, "start.sh")], { env: { ...env, ...machine } });
  const run = (/** @type {string[]} */ ...argv) => runCommand([EXEC, ...argv], { env });
  await run("zpool", "create", "-f", "-O", "mountpoint=none", "bench", "/dev/vda");
  const pool = { name: "bench", zfsCommand: [EXEC, "zfs"], zpoolCommand: [EXEC, "zpool"], deviceWaitMs: 0 };
  return { env, exec: EXEC, run, pool };
}
