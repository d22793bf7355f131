import { get, type IncomingMessage } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { call, must, type Snapshots, type Volumes } from "../support/rpc.js";
import { until } from "../support/until.js";
import { createPool, fillVolume, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "holds";
const DISK = "/dev/vdh";
const ID = "guests/h/disk-0";

describe.skipIf("skip" in vm)("holds of downloads", () => {
  const running = vm as Vm;
  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  const zpool = (...args: string[]) => vmExec(running, ["zpool", ...args]);
  const holds = (name: string) => zfs("holds", "-H", name).trim();
  let daemon: DaemonProcess | undefined;

  async function start(): Promise<DaemonProcess> {
    daemon = await startDaemonProcess(
      { listen: { port: 0 }, pools: [vmPool(running, POOL)] },
      { OPENZFS_VM_RUN: running.run },
    );
    return daemon;
  }

  /** A download that has begun and is not read on. */
  async function download(url: string, id: string): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${url}/snapshots/download?id=${id}`, { agent: false }, resolve).once("error", reject);
    });
    await new Promise((resolve) => response.once("readable", resolve));
    return response;
  }

  beforeAll(async () => {
    createPool(running, POOL, DISK);
    const { url, stop } = await start();
    await must<Volumes>(url, "CreateVolume", { id: ID, size: 32 });
    fillVolume(running, `${POOL}/${ID}`, 24);
    await must<Snapshots>(url, "CreateSnapshot", { id: ID, dest: "s" });
    await stop();
  });
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
  });
  afterAll(() => void zpool("destroy", POOL));

  test("the hold of a download is released under the new name of a dataset that was renamed meanwhile", async () => {
    const { url } = await start();
    const response = await download(url, `${ID}@s`);
    zfs("rename", `${POOL}/guests/h`, `${POOL}/guests/moved`);
    expect(holds(`${POOL}/guests/moved/disk-0@s`)).toContain("imagestore:");
    response.destroy();
    await until("the hold is released", () => holds(`${POOL}/guests/moved/disk-0@s`) === "");
    zfs("rename", `${POOL}/guests/moved`, `${POOL}/guests/h`);
  });

  test("a start releases holds with a tag of ours and no download, and leaves those of others", async () => {
    zfs("hold", "imagestore:dead-1", `${POOL}/${ID}@s`);
    zfs("hold", "somebody", `${POOL}/${ID}@s`);
    const { url } = await start();
    expect(holds(`${POOL}/${ID}@s`)).toMatch(/\tsomebody\t/);
    expect(holds(`${POOL}/${ID}@s`)).not.toContain("imagestore:");
    zfs("release", "somebody", `${POOL}/${ID}@s`);
    await must<Snapshots>(url, "CreateSnapshot", { id: ID, dest: "free" });
    expect((await call(url, "DeleteSnapshot", { id: `${ID}@free` })).error).toBeNull();
  });

  test("what a hold refuses is told with its tag, and a download's hold as such", async () => {
    const { url } = await start();
    const name = `${POOL}/${ID}@mine`;
    await must<Snapshots>(url, "CreateSnapshot", { id: ID, dest: "mine" });
    await must<Snapshots>(url, "CreateSnapshot", { id: ID, dest: "old" });
    zfs("hold", "back up", name);
    const refusal = async (method: string, params: object) => (await call(url, method, params)).error;
    const others = `${name} is held by others, with the tag "back up" (zfs holds ${name})`;
    expect(await refusal("DeleteSnapshot", { id: `${ID}@mine` })).toBe(others);
    expect(await refusal("DeleteDataset", { id: "guests/h" })).toBe(others);
    expect(await refusal("RollbackSnapshot", { id: `${ID}@s`, destroyMoreRecent: true })).toBe(others);
    const response = await download(url, `${ID}@mine`);
    expect(await refusal("DeleteSnapshot", { id: `${ID}@mine` })).toBe(`${others}, and by a download of it`);
    zfs("release", "back up", name);
    const ours = `${name} is held by a download of it`;
    expect(await refusal("DeleteSnapshot", { id: `${ID}@mine` })).toBe(ours);
    response.destroy();
    await until("the hold is released", () => holds(name) === "");
    for (const tag of ["mine", "old"]) await must<Snapshots>(url, "DeleteSnapshot", { id: `${ID}@${tag}` });
  });

  test("a pool that is imported read-only is downloaded from", async () => {
    zpool("export", POOL);
    zpool("import", "-o", "readonly=on", POOL);
    const { url } = await start();
    const response = await download(url, `${ID}@s`);
    expect(response.statusCode).toBe(200);
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(24 * 1024 * 1024);
    expect(holds(`${POOL}/${ID}@s`)).toBe("");
    expect((await call(url, "CreateVolume", { id: "guests/x", size: 8 })).error).toContain("read-only");
    await daemon?.stop();
    daemon = undefined;
    zpool("export", POOL);
    zpool("import", POOL);
  });
});
