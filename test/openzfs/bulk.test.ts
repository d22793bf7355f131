import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject } from "vitest";
import { bulkCases, bulkConfig, downloadByRing } from "../support/bulk-cases.js";
import { startDaemonProcess, vmPool } from "../support/daemon.js";
import { descendantsOf } from "../support/processes.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { createPool, destroyPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "bulk";
/** More than all buffers on the way. An emulated VM sends some MB/s, and some cases download it ten times. */
const VOLUME_MIB = 24;
const VOLUME = "guests/big/disk";
const ID = `${VOLUME}@s`;

describe.skipIf("skip" in vm)("bulk downloads of OpenZFS", () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  let reference = { sha256: "", bytes: 0 };

  const start = (settings: Record<string, unknown>, env: NodeJS.ProcessEnv = {}) =>
    startDaemonProcess(bulkConfig(folder, vmPool(running, POOL), settings), {
      OPENZFS_VM_RUN: running.run,
      ...env,
    });

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdg");
    const daemon = await start({});
    await must<Volumes>(daemon.url, "CreateVolume", { id: VOLUME, size: VOLUME_MIB });
    fillVolume(running, `${POOL}/${VOLUME}`, VOLUME_MIB - 1);
    await must<Snapshots>(daemon.url, "CreateSnapshot", { id: VOLUME, dest: "s" });
    reference = await downloadByRing(daemon.url, ID);
    expect(await daemon.stop()).toBe(0);
  });
  afterAll(() => {
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  bulkCases({
    folder,
    start: async (settings, env) => {
      const daemon = await start(settings, env);
      return {
        daemon,
        id: ID,
        ...reference,
        senders: () => descendantsOf(daemon.pid, " '?send'? "),
        isHeld: async () => vmExec(running, ["zfs", "holds", "-H", `${POOL}/${ID}`]).trim() !== "",
      };
    },
  });
});
