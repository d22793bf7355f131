import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { vmPool } from "../support/daemon.js";
import { type InProcessDaemon, startInProcess } from "../support/in-process.js";
import { must } from "../support/rpc.js";
import { type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "twodisks";
const MIB = 2 ** 20;
const STATS_MS = 60_000;

interface Pools {
  readonly pools: readonly {
    readonly name: string;
    readonly size: number;
    readonly allocated: number;
    readonly free: number;
    readonly health: string;
    readonly fragmentation: number | null;
  }[];
}

describe.skipIf("skip" in vm)("GetPool of a mirror", () => {
  const running = vm as Vm;
  let server: InProcessDaemon;

  beforeAll(async () => {
    vmExec(running, [
      "sh",
      "-ec",
      `truncate -s 256M /tmp/mirror-0 /tmp/mirror-1
       zpool create -O mountpoint=none ${POOL} mirror /tmp/mirror-0 /tmp/mirror-1`,
    ]);
    process.env.OPENZFS_VM_RUN = running.run;
    server = await startInProcess({ pools: [vmPool(running, POOL)] });
  });
  afterAll(async () => {
    await server?.stop();
    vmExec(running, ["sh", "-c", `zpool destroy ${POOL}; rm -f /tmp/mirror-0 /tmp/mirror-1`]);
  });

  async function getPool() {
    const { pools } = await must<Pools>(server.url, "GetPool", { id: POOL });
    const [pool] = pools;
    if (!pool) throw new Error("no pool");
    return pool;
  }

  test("has the numbers of zpool list", async () => {
    const columns = "name,size,allocated,free,health,fragmentation";
    const [name, size, allocated, free, health, fragmentation] = vmExec(running, [
      "zpool",
      "list",
      "-Hp",
      "-o",
      columns,
      POOL,
    ])
      .trim()
      .split("\t");
    const pool = await getPool();
    expect(pool).toMatchObject({
      name,
      health,
      size: Math.floor(Number(size) / MIB),
      fragmentation: Number(fragmentation),
    });
    // The pool's own housekeeping goes on between the two.
    expect(Math.abs(pool.allocated - Number(allocated) / MIB)).toBeLessThan(4);
    expect(Math.abs(pool.free - Number(free) / MIB)).toBeLessThan(4);
  });

  test("says DEGRADED while a disk is offline, and ONLINE when it is back", async () => {
    expect((await getPool()).health).toBe("ONLINE");
    vmExec(running, ["zpool", "offline", POOL, "/tmp/mirror-1"]);
    expect((await getPool()).health).toBe("DEGRADED");
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain(`imagestore_pool_health{pool="${POOL}",driver="openzfs",health="DEGRADED"} 1`);
    vmExec(running, ["zpool", "online", POOL, "/tmp/mirror-1"]);
    expect((await getPool()).health).toBe("ONLINE");
  });

  test("for a hundred clients at once takes the processes of a few", async () => {
    const [actor] = server.daemon.actors.values();
    const commandsRun = async () => (await actor?.stats(STATS_MS))?.commandsRun ?? 0;
    const before = await commandsRun();
    await Promise.all(Array.from({ length: 100 }, getPool));
    expect((await commandsRun()) - before).toBeLessThanOrEqual(6);
  });
});
