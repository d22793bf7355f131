import { describe, inject } from "vitest";
import { vmPool } from "../support/daemon.js";
import { startInProcess } from "../support/in-process.js";
import { DATASETS, describeLoad, REQUESTS } from "../support/load.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "load";

describe.skipIf("skip" in vm)(`${REQUESTS} concurrent mixed requests on ${DATASETS} datasets`, () => {
  const running = vm as Vm;
  describeLoad({
    pool: POOL,
    start: () => {
      createPool(running, POOL, "/dev/vde");
      process.env.OPENZFS_VM_RUN = running.run;
      return startInProcess({ pools: [vmPool(running, POOL)] });
    },
    remove: () => destroyPool(running, POOL),
    snapshots: async () =>
      vmExec(running, ["zfs", "list", "-Hp", "-t", "snapshot", "-r", "-o", "name", POOL]).split("\n"),
  });
});
