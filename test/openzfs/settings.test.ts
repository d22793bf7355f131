import { spawnSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { call, type Images, must, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "b c";

describe.skipIf("skip" in vm)("a pool whose name has a space, with volumes of large blocks", () => {
  const running = vm as Vm;
  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  let daemon: DaemonProcess;
  let service: Server;
  /** Of the blocks. Before OpenZFS 2.2, 1 MiB is the most: there nothing is rounded up. */
  let blockMiB: number;

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdj");
    blockMiB = /^zfs-2\.[01]\./.test(zfs("version")) ? 1 : 2;
    zfs("create", "-V", "8M", `${POOL}/source`);
    zfs("snapshot", `${POOL}/source@s`);
    const { stdout } = spawnSync(running.exec, ["zfs", "send", `${POOL}/source@s`], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      stdio: ["ignore", "pipe", "inherit"],
    });
    service = createServer((_request, response) => void response.end(stdout));
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    daemon = await startDaemonProcess(
      {
        listen: { port: 0 },
        pools: [vmPool(running, POOL)],
        imageService: `127.0.0.1:${(service.address() as AddressInfo).port}`,
        volumeProperties: { compression: "lz4", volblocksize: `${blockMiB}M` },
        timeouts: { imageLookMs: 500 },
      },
      { OPENZFS_VM_RUN: running.run },
    );
  });
  afterAll(async () => {
    await daemon?.stop();
    service?.close();
    destroyPool(running, POOL);
  });

  test("a new volume is rounded up to whole blocks and answered so, again too", async () => {
    for (const size of blockMiB === 2 ? [3, 3, 4] : [4, 4]) {
      const { volumes } = await must<Volumes>(daemon.url, "CreateVolume", { id: "v", size });
      expect(volumes).toEqual([{ id: "b c/v", size: 4, device: "/dev/zvol/b+c/v" }]);
    }
    expect((await call(daemon.url, "CreateVolume", { id: "v", size: 5 })).error).toBe(
      "dataset already exists",
    );
    expect(zfs("get", "-Hp", "-o", "value", "volblocksize", `${POOL}/v`).trim()).toBe(String(blockMiB << 20));
  });

  test("an image is fetched and cloned, with the block size that it has", async () => {
    const { images } = await must<Images>(daemon.url, "RequestImage", { id: "i", type: "kvm" });
    expect(images).toMatchObject([{ id: "i", status: "complete", size: 8 }]);
    await must<Volumes>(daemon.url, "CloneImage", { id: "i", dest: "clone" });
    const guest = { id: "g", disks: [{ image: "i" }, { size: 1 }] };
    const created = await call<{ guest: { disks: unknown[] } }>(daemon.url, "CreateGuestDisks", { guest });
    expect(created.error).toBeNull();
    expect(created.result?.guest.disks).toMatchObject([{ size: 8 }, { size: blockMiB }]);
    expect((await call(daemon.url, "DeleteGuestsDisks", { guest })).error).toBeNull();
    expect((await call(daemon.url, "DeleteDataset", { id: "clone" })).error).toBeNull();
  });

  test("an image that is destroyed by hand is not found after a look, and is fetched again", async () => {
    await must<Images>(daemon.url, "RequestImage", { id: "i", type: "kvm" });
    zfs("destroy", "-r", `${POOL}/images/i`);
    await until("GetImage has seen it", async () => {
      const { error } = await call(daemon.url, "GetImage", { id: "i" });
      return error === "not found";
    });
    const again = await must<Images>(daemon.url, "RequestImage", { id: "i", type: "kvm" });
    expect(again.images).toMatchObject([{ id: "i", status: "complete" }]);
    zfs("destroy", "-r", `${POOL}/images/i`);
    const guest = { id: "g2", disks: [{ image: "i" }] };
    for (const method of ["VerifyDisks", "CreateGuestDisks"])
      expect((await call(daemon.url, method, { guest })).error).toBe("not found");
    const fetched = await must<Images>(daemon.url, "RequestImage", { id: "i", type: "kvm" });
    expect(fetched.images).toMatchObject([{ id: "i", status: "complete" }]);
    expect(zfs("list", "-Ho", "name", `${POOL}/images/i@s`).trim()).toBe("b c/images/i@s");
  });
});
