import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call, must, type Volumes } from "../support/rpc.js";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.js";

const MIB = 1_048_576;
const NO_SPACE = "no space left on device";

const scratch = mkdtempSync(join(tmpdir(), "imagestore-test-"));
const mounted = mountSmallDisk(scratch, 96);
afterAll(() => {
  if (typeof mounted !== "string") mounted[Symbol.dispose]();
  rmSync(scratch, { recursive: true, force: true });
});
if (typeof mounted === "string") console.log(`full-disk.test.ts is skipped: ${mounted}`);

describe.skipIf(typeof mounted === "string")("a pool and its records on a disk that gets full", () => {
  const disk = mounted as SmallDisk;
  let daemon: DaemonProcess;
  let round = 0;

  const start = async () => {
    daemon = await startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(disk.path, `pool-${round}`) }],
      dataDir: join(disk.path, `records-${round}`),
    });
    return daemon.url;
  };
  const kill = async () => {
    daemon.process.kill("SIGKILL");
    await daemon.exited;
  };
  const create = async (id: string, size: number) => {
    const { volumes } = await must<Volumes>(daemon.url, "CreateVolume", { id, size });
    return volumes[0]?.device ?? "";
  };
  async function write(device: string, mib: number): Promise<void> {
    await using file = await open(device, "r+");
    for (let at = 0; at < mib; at++) await file.write(Buffer.alloc(MIB, "x"), 0, MIB, at * MIB);
    await file.sync();
  }

  beforeEach(async () => {
    round++;
    await start();
  });
  afterEach(async () => {
    await daemon.stop();
    for (const name of [`pool-${round}`, `records-${round}`, "rest"]) {
      rmSync(join(disk.path, name), { recursive: true, force: true });
    }
  });

  test("refuses what needs room, deletes, starts again after a stop and a kill, and works when there is room", async () => {
    for (const name of ["a", "b", "c", "d"]) await write(await create(name, 4), 2);
    await must(daemon.url, "CreateSnapshot", { id: "a", dest: "s" });
    for (const [index, end] of [() => {}, () => daemon.stop(), kill].entries()) {
      disk.fill("rest");
      expect((await call(daemon.url, "CreateSnapshot", { id: "a", dest: "more" })).error).toBe(NO_SPACE);
      expect((await call(daemon.url, "CreateVolume", { id: "more", size: 1 })).error).toBe(NO_SPACE);
      await end();
      if (index > 0) await start();
      const before = (await must<Volumes>(daemon.url, "ListVolumes", {})).volumes.map(({ id }) => id);
      expect(before).toEqual(["tank/a", "tank/b", "tank/c", "tank/d"].slice(0, 4 - index));
      await must(daemon.url, "DeleteDataset", { id: before.at(-1) ?? "" });
    }
    rmSync(join(disk.path, "rest"));
    await must(daemon.url, "CreateSnapshot", { id: "a", dest: "more" });
    await must(daemon.url, "DeleteDataset", { id: "a" });
    await must(daemon.url, "CreateVolume", { id: "new", size: 1 });
  });

  test("a start on a full disk keeps the pool and the records from a second daemon", async () => {
    disk.fill("rest");
    await kill();
    await start();
    const second = startDaemonProcess({
      listen: { port: 0 },
      pools: [{ name: "tank", driver: "embedded", folder: join(disk.path, `pool-${round}`) }],
      dataDir: join(disk.path, `records-${round}`),
    });
    await expect(second).rejects.toThrow("is open in another imagestore");
  });

  test("refuses a download whose hold can't be recorded, and leaves no hold", async () => {
    const device = await create("v", 1);
    await write(device, 1);
    await must(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
    disk.fill("rest");
    const download = () => fetch(`${daemon.url}/snapshots/download?id=v@s`);
    let status = 200;
    // The journal of the records has some room left from before.
    for (let tries = 0; status === 200 && tries < 300; tries++) {
      const response = await download();
      ({ status } = response);
      await response.arrayBuffer();
    }
    expect(status).not.toBe(200);
    await kill();
    rmSync(join(disk.path, "rest"));
    await start();
    await must(daemon.url, "DeleteSnapshot", { id: "v@s" });
  });

  test("gives no snapshot, clone or rollback the room of a thick volume, also without quotaBytes", async () => {
    await write(await create("full", 20), 20);
    await must(daemon.url, "CreateSnapshot", { id: "full", dest: "s" });
    const thick = await create("thick", 32);
    for (const [method, params] of [
      ["CreateSnapshot", { id: "full", dest: "t" }],
      ["RollbackSnapshot", { id: "full@s" }],
      ["CreateVolume", { id: "other", size: 32 }],
    ] as const) {
      const { error } = await call(daemon.url, method, params);
      expect(error, method).toBe(NO_SPACE);
    }
    await write(thick, 32);
    writeFileSync(join(disk.path, "rest"), "there was more");
  });
});
