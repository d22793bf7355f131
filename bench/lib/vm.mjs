// @ts-check
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runCommand } from "./process.mjs";

/** Why the benches on real OpenZFS are left out. */
export class VmUnavailable extends Error {}

const SCRIPTS = fileURLToPath(new URL("../../test/openzfs-vm/", import.meta.url));
const EXEC = join(SCRIPTS, "exec.sh");

/**
 * A VM with real OpenZFS and the pool `bench` in it.
 * @typedef {object} Vm
 * @property {NodeJS.ProcessEnv} env what its scripts, and a daemon that uses them, need
 * @property {string} exec the script that runs a command in it
 * @property {(...argv: string[]) => Promise<string>} run runs a command in it
 * @property {Record<string, unknown>} pool its pool in a daemon's configuration
 */

/**
 * Boots a VM that goes with the bench. Throws VmUnavailable where none can be built.
 * @param {import("./releasers.mjs").Releasers} releasers
 * @returns {Promise<Vm>}
 */
export async function startVm(releasers) {
  await runCommand([join(SCRIPTS, "build.sh")]).catch((error) => {
    throw new VmUnavailable(`no VM with OpenZFS can be built here: ${error.message}`);
  });
  // Short, for the folder holds a unix socket.
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
