import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, startDaemonProcess, vmPool } from "../support/daemon.js";
import { call } from "../support/rpc.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "lease";

describe.skipIf("skip" in vm)("two daemons, each with a dataDir of its own, on one pool", () => {
  const running = vm as Vm;
  const zfs = (...args: string[]) => vmExec(running, ["zfs", ...args]);
  const lease = () => zfs("get", "-Hp", "-o", "value", "imagestore:lease", POOL).trim();
  const started: DaemonProcess[] = [];

  async function start(): Promise<DaemonProcess> {
    const daemon = await startDaemonProcess(
      { listen: { port: 0 }, pools: [vmPool(running, POOL)] },
      { OPENZFS_VM_RUN: running.run },
    );
    started.push(daemon);
    return daemon;
  }

  beforeAll(() => createPool(running, POOL, "/dev/vdj"));
  afterEach(async () => {
    for (const daemon of started.splice(0)) await daemon.stop();
  });
  afterAll(() => destroyPool(running, POOL));

  test("the second is refused and told who the first is, and disturbs nothing", async () => {
    const first = await start();
    expect(lease()).toMatch(new RegExp(` ${first.pid} [0-9a-f]+ \\d+$`));
    zfs("create", "-V", "8M", `${POOL}/seed`);
    zfs("snapshot", `${POOL}/seed@s`);
    zfs("hold", "imagestore:first-1", `${POOL}/seed@s`);
    await expect(start()).rejects.toThrow(new RegExp(`served by another imagestore.*pid ${first.pid}`));
    expect(zfs("holds", "-H", `${POOL}/seed@s`)).toContain("imagestore:first-1");
    expect((await call(first.url, "GetVolume", { id: "seed" })).error).toBeNull();
    expect(await first.stop()).toBe(0);
    expect(lease()).toBe("-");
    await start();
  });

  test("the second takes over at once when the first was killed", async () => {
    const first = await start();
    first.process.kill("SIGKILL");
    await first.exited;
    expect(lease()).toContain(` ${first.pid} `);
    const second = await start();
    expect(lease()).toContain(` ${second.pid} `);
  });

  test("a lease of another machine refuses until it is stale, or is removed by hand", async () => {
    const now = Math.floor(Date.now() / 1000);
    zfs("set", `imagestore:lease=there/1 7 dead ${now}`, POOL);
    await expect(start()).rejects.toThrow(/host there\/1, pid 7.*zfs inherit imagestore:lease lease/);
    zfs("set", `imagestore:lease=there/1 7 dead ${now - 3600}`, POOL);
    const daemon = await start();
    expect(lease()).toContain(` ${daemon.pid} `);
  });
});
