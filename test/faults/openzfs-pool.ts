import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vmPool } from "../support/daemon.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";
import { readDatabase } from "./embedded-pool.js";
import type { SeenDataset } from "./ledger.js";
import { PARTIAL, type PoolUnderTest, type PoolView } from "./pool-under-test.js";

/** A pool of OpenZFS on a disk of the VM. */
export function createOpenZfsPool(vm: Vm, name: string, disk: string, commandMs: number): PoolUnderTest {
  const parent = mkdtempSync(join(tmpdir(), "imagestore-faults-"));
  createPool(vm, name, disk);

  /** Processes of zfs and zpool in the VM. */
  const running = () => vmExec(vm, ["sh", "-c", "pgrep -x -l 'zfs|zpool' || true"]).trim();

  async function view(): Promise<PoolView> {
    const fields = "name,type,volsize,userrefs";
    const lines = vmExec(vm, ["zfs", "list", "-Hp", "-t", "all", "-r", "-o", fields, name])
      .trim()
      .split("\n");
    const datasets = new Map<string, SeenDataset>();
    const leftovers: string[] = [];
    for (const line of lines) {
      const [full = "", type = "", volsize = "", userrefs = ""] = line.split("\t");
      const relative = full.slice(name.length).replace(/^\//, "");
      datasets.set(relative, { type, sizeBytes: Number(volsize) || 0 });
      if (/^[1-9]/.test(userrefs)) leftovers.push(`hold on ${full}`);
      if (relative.startsWith(PARTIAL)) leftovers.push(`partial ${full}`);
    }
    const records = join(parent, "records", `${name}.db`);
    const recorded = await readDatabase<{ tag: string }>(records, "SELECT tag FROM holds");
    leftovers.push(...recorded.map(({ tag }) => `record of hold ${tag}`));
    if (running() !== "") leftovers.push(`commands in the VM: ${running()}`);
    return { datasets, leftovers };
  }

  return {
    name,
    driver: "openzfs",
    config: vmPool(vm, name),
    dataDir: join(parent, "records"),
    env: { OPENZFS_VM_RUN: vm.run },
    commandMs,
    // A recursive destroy may take ten times the limit, and a stopped runner is noticed 7 s after a limit.
    callLimitMs: commandMs * 10 + 60_000,
    fill: (volume) => fillVolume(vm, `${name}/${volume}`, 1),
    // The commands in the VM don't end with the ssh that started them, as those on a node do.
    settle: () => until("no command runs in the VM", () => running() === "", 60_000),
    view,
    remove: () => {
      destroyPool(vm, name);
      rmSync(parent, { recursive: true, force: true });
    },
  };
}
