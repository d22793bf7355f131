import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { beforeChanges, changesByHand, type LookUpMethod, tellLookUp } from "../support/changes-by-hand.js";
import { type InsideDaemon, startInsideVm } from "../support/inside-daemon.js";
import { createPool, destroyPool, type Vm, vmExec } from "../support/vm.js";

const vm = inject("vm");
const POOL = "kept";
const DISK = "/dev/vdf";

// There the kernel tells main itself whether the pool has changed, and main answers by what it has kept.
describe.skipIf("skip" in vm)("beside a daemon on the machine of the pool", () => {
  const running = vm as Vm;
  let server: InsideDaemon;

  const inVm = (script: string) => vmExec(running, ["sh", "-ec", script]);
  const told = (method: LookUpMethod, id: string) => tellLookUp(server.url, POOL, method, id);

  beforeAll(async () => {
    createPool(running, POOL, DISK);
    inVm(beforeChanges(POOL));
    server = await startInsideVm(running, { pools: [{ name: POOL }], log: { level: "info" } });
  });
  afterAll(async () => {
    await server?.stop();
    destroyPool(running, POOL);
  });

  test("main knows where to read that", async () => {
    await expect.poll(() => server.log()).toContain(`"historyFile":"/proc/spl/kstat/zfs/${POOL}/txgs"`);
  });

  test.each(changesByHand(POOL, DISK))(
    "%s, made by hand, is seen by the next look-up",
    async (_what, method, id, before, change, after) => {
      for (let round = 0; round < 20; round++) expect(await told(method, id)).toBe(before);
      inVm(change);
      expect(await told(method, id)).toBe(after);
    },
  );

  test("changes made by hand are seen at once, however many look-ups are under way", async () => {
    let isOver = false;
    const others = Array.from({ length: 20 }, async () => {
      while (!isOver) await told("GetSnapshot", "b@round");
    });
    try {
      for (let round = 0; round < 4; round++) {
        inVm(`zfs snapshot ${POOL}/b@round`);
        expect(await told("GetSnapshot", "b@round")).toBe("b@round 0");
        inVm(`zfs destroy ${POOL}/b@round`);
        expect(await told("GetSnapshot", "b@round")).toBe("not found");
      }
    } finally {
      isOver = true;
      await Promise.all(others);
    }
  });
});
