import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { testLong } from "../support/long-tests.js";
import { must, type Snapshots, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";
import { fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "locked";
const KEY_FILE = "/tmp/locked-key";
const KEY_MISSING = "dataset.key_not_loaded";

/** What becomes of a call on an encrypted pool without its key: it needs none, or it is refused. */
type Expected = "done" | "refused";

describe.skipIf("skip" in vm)("an encrypted pool whose key is unloaded while it is served", () => {
  const running = vm as Vm;
  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]).trim();
  const all = () => inVm(`zfs list -Hr -t all -o name ${POOL}`);
  let stream = Buffer.alloc(0);
  const service = createServer((_request, response) => void response.end(stream));
  let daemon: DaemonProcess;

  /** The reason of a refusal with its message; undefined if the call was done. */
  async function refusal(method: string, params: object): Promise<readonly string[] | undefined> {
    const response = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
    });
    const { error } = (await response.json()) as { error?: { message: string; data: { reason: string } } };
    return error && [error.data.reason, error.message];
  }
  /** Makes a call that must be done. udev may hold a device for longer than the daemon tries, and then it says so. */
  const done = (method: string, params: object) =>
    until(`${method} ${JSON.stringify(params)} is done`, async () => {
      const refused = await refusal(method, params);
      if (refused && refused[0] !== "dataset.busy") throw new Error(refused.join(": "));
      return refused === undefined;
    });
  // A command in the VM may take so long that the daemon closes a connection that is kept.
  const close = { headers: { connection: "close" } };
  const download = (id: string) => fetch(`${daemon.url}/snapshots/download?id=${id}`, close);
  /** udev and blkid open a new volume for a moment. */
  const unloadKey = () =>
    until("the key is unloaded", () => inVm(`zfs unload-key ${POOL} 2>/dev/null || echo busy`) === "");

  beforeAll(async () => {
    inVm(`
      echo "a long passphrase" >${KEY_FILE}
      zpool create -f -O mountpoint=none -O encryption=on -O keyformat=passphrase \\
        -O keylocation=file://${KEY_FILE} ${POOL} /dev/vdl
    `);
    await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
    daemon = await startDaemonProcess(
      {
        listen: { port: 0, bulk: { port: 0 } },
        pools: [vmPool(running, POOL)],
        imageService: `127.0.0.1:${(service.address() as AddressInfo).port}`,
        log: { level: "debug" },
      },
      { OPENZFS_VM_RUN: running.run },
    );
    await must<Volumes>(daemon.url, "CreateVolume", { id: "v", size: 8 });
    fillVolume(running, `${POOL}/v`, 4);
    await must<Snapshots>(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
    stream = Buffer.from(await (await download("v@s")).arrayBuffer());
    await must(daemon.url, "RequestImage", { id: "i", type: "kvm" });
    await must(daemon.url, "CreateGuestDisks", { guest: { id: "g", disks: [{ image: "i" }, { size: 8 }] } });
    await unloadKey();
  });
  afterAll(async () => {
    await daemon?.stop();
    service.closeAllConnections();
    service.close();
    inVm(`zpool destroy ${POOL}; rm ${KEY_FILE}`);
  });

  const calls: readonly (readonly [string, object, Expected])[] = [
    ["GetVolume", { id: "v" }, "done"],
    ["ListVolumes", {}, "done"],
    ["GetSnapshot", { id: "v@s" }, "done"],
    ["ListSnapshots", { id: "v" }, "done"],
    ["GetImage", { id: "i" }, "done"],
    ["RequestImage", { id: "i" }, "done"],
    ["GetPool", {}, "done"],
    ["VerifyDisks", { guest: { id: "g2", disks: [{ size: 8 }] } }, "done"],
    ["CreateGuestDisks", { guest: { id: "g", disks: [{ image: "i" }, { size: 8 }] } }, "done"],
    ["CreateVolume", { id: "new", size: 8 }, "refused"],
    ["CreateVolume", { id: "a/b/new", size: 8 }, "refused"],
    ["CreateGuestDisks", { guest: { id: "g2", disks: [{ size: 8 }] } }, "refused"],
    ["CreateGuestDisks", { guest: { id: "g3", disks: [{ image: "i" }, { size: 8 }] } }, "refused"],
    ["RequestImage", { id: "i2", type: "kvm" }, "refused"],
    ["CloneImage", { id: "i", dest: "c" }, "done"],
    ["CreateSnapshot", { id: "v", dest: "t" }, "done"],
    ["CreateSnapshot", { id: "guests", dest: "t", recursive: true }, "done"],
    ["RollbackSnapshot", { id: "v@s", destroyMoreRecent: true }, "done"],
    ["DeleteSnapshot", { id: "guests@t", recursive: true }, "done"],
  ];

  test.each(calls)("%s %j is %s", async (method, params, expected) => {
    const before = all();
    const refused = await refusal(method, params);
    if (expected === "done") expect(refused).toBeUndefined();
    else {
      expect(refused).toEqual([KEY_MISSING, expect.stringContaining("(zfs load-key)")]);
      expect(all()).toBe(before);
    }
  });

  test("a download is refused with 409 before its first byte, on both ports, and leaves no hold", async () => {
    for (const url of [daemon.url, daemon.bulkUrl]) {
      const response = await fetch(`${url}/snapshots/download?id=v@s`, close);
      expect([response.status, await response.text()]).toEqual([
        409,
        expect.stringContaining("(zfs load-key)"),
      ]);
    }
    await until("the hold is released", () => inVm(`zfs holds -H ${POOL}/v@s`) === "");
  });

  testLong(
    "with its key again all is as before, and without it once more everything can be deleted",
    async () => {
      inVm(`zfs load-key ${POOL}`);
      await done("CreateVolume", { id: "a/b/new", size: 8 });
      await done("CloneImage", { id: "i", dest: "d" });
      await done("RequestImage", { id: "i2", type: "kvm" });
      const response = await download("v@s");
      expect(response.status).toBe(200);
      expect(Buffer.from(await response.arrayBuffer()).length).toBe(stream.length);
      await until("the hold is released", () => inVm(`zfs holds -H ${POOL}/v@s`) === "");
      await unloadKey();
      const left = all().split("\n");
      const roots = ["v", "a", "c", "d"].filter((root) => left.includes(`${POOL}/${root}`));
      for (const id of roots) await done("DeleteDataset", { id });
      for (const id of ["g", "g2", "g3"]) await done("DeleteGuestsDisks", { guest: { id } });
      for (const id of ["i", "i2"]) await done("DeleteImage", { id });
      expect(all().split("\n").sort()).toEqual([POOL, `${POOL}/guests`, `${POOL}/images`]);
    },
  );
});
