import { describe, inject } from "vitest";
import { startDaemonProcess, vmPool } from "../support/daemon.js";
import { describeFetchDelay } from "../support/fetch-delay.js";
import { createPool, destroyPool, type Vm } from "../support/vm.js";

const vm = inject("vm");
const POOLS = ["delay", "calm"] as const;

describe.skipIf("skip" in vm)("changes of a pool of OpenZFS beside a long fetch", () => {
  const running = vm as Vm;
  describeFetchDelay({
    pools: POOLS,
    fetchMs: 20_000,
    start: (port) => {
      createPool(running, POOLS[0], "/dev/vdk");
      createPool(running, POOLS[1], "/dev/vdl");
      return startDaemonProcess(
        {
          listen: { port: 0 },
          pools: POOLS.map((name) => vmPool(running, name)),
          imageService: `127.0.0.1:${port}`,
        },
        { OPENZFS_VM_RUN: running.run },
      );
    },
    remove: () => {
      for (const name of POOLS) destroyPool(running, name);
    },
  });
});
