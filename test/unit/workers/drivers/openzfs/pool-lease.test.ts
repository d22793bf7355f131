import { fork } from "node:child_process";
import { once } from "node:events";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { PoolName } from "../../../../../src/protocol/storage/names.js";
import type { PoolOwner } from "../../../../../src/workers/drivers/driver.js";
import { lockOnHost } from "../../../../../src/workers/drivers/openzfs/host-lock.js";
import { takeLease } from "../../../../../src/workers/drivers/openzfs/pool-lease.js";
import { createZfsCommands } from "../../../../../src/workers/drivers/openzfs/zfs-commands.js";
import { createKeptLog } from "../../../../support/memory-actor.js";

const POOL = "ut" as PoolName;
const NOW_S = 1_900_000_000;
const MINUTE_MS = 60_000;

/** A guid of a pool that no other test has. */
const newGuid = () => `test-${process.pid}-${Math.random()}`;

/** A pool with a lease, which daemons read and set. `refuses`: what zfs says to a change, if it refuses. */
function createPool(lease = "", refuses = "") {
  const pool = { lease, writes: 0 };
  const commands = createZfsCommands({ zfsCommand: ["zfs"], zpoolCommand: ["zpool"] }, 1000, async (argv) => {
    const [, verb, word = ""] = argv;
    const isChange = verb === "set" || verb === "inherit";
    if (isChange && refuses === "") {
      pool.writes++;
      pool.lease = verb === "set" ? word.slice(word.indexOf("=") + 1) : "";
    }
    const isRefused = isChange && refuses !== "";
    return {
      argv,
      stdout: verb === "get" && pool.lease !== "" ? `${pool.lease}\n` : "",
      stderr: isRefused ? refuses : "",
      exit: { kind: "exited", code: isRefused ? 1 : 0 },
      ms: 1,
    };
  });
  return { pool, commands };
}

function stopClock(): void {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"], now: NOW_S * 1000 });
  onTestFinished(() => void vi.useRealTimers());
}

function daemon(
  pool: ReturnType<typeof createPool>,
  owner: Partial<PoolOwner> = {},
  where: { host?: string; guid?: string } = {},
) {
  const log = createKeptLog();
  const { host = "here/1", guid = newGuid() } = where;
  const taken = takeLease({
    pool: POOL,
    guid,
    owner: { runId: "run2", earlierRunId: undefined, dataDir: "/data", ...owner },
    commands: pool.commands,
    log,
    host,
  });
  return { log, taken };
}

describe("the lease of a pool", () => {
  test("is written by the first daemon, renewed every 3 min, and removed when it stops", async () => {
    stopClock();
    const pool = createPool();
    const taken = await daemon(pool).taken;
    expect(pool.pool.lease).toBe(`here/1 ${process.pid} run2 ${NOW_S}`);
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    expect(pool.pool.lease).toBe(`here/1 ${process.pid} run2 ${NOW_S + 540}`);
    expect(pool.pool.writes).toBe(4);
    if (taken.ok) await taken.value.release();
    expect(pool.pool.lease).toBe("");
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    expect(pool.pool.writes).toBe(5);
  });

  test.each([
    ["another machine's", 60, "there/9"],
    ["another machine's whose clock is ahead", -60, "there/9"],
  ])(
    "that is %s and fresh refuses, naming it and the command that ends it, and changes nothing",
    async (_what, age, host) => {
      stopClock();
      const lease = `${host} 77 run1 ${NOW_S - age}`;
      const pool = createPool(lease);
      const guid = newGuid();
      const taken = await daemon(pool, {}, { guid }).taken;
      expect(taken).toMatchObject({ ok: false, failure: { code: "pool.unavailable" } });
      const message = taken.ok ? "" : taken.failure.message;
      for (const part of ["host there/9", "pid 77", "run1", "zfs inherit imagestore:lease ut"])
        expect(message).toContain(part);
      expect(pool.pool).toEqual({ lease, writes: 0 });
      // The lock of the machine is free again.
      expect((await lockOnHost(guid, "")).kind).toBe("taken");
    },
  );

  test.each([
    ["stale", "there/9 77 run1", 13 * 60, {}],
    ["the last run's with the same records", "there/9 77 run1", 60, { earlierRunId: "run1" }],
    ["this run's, after a crash of its actor", "there/9 77 run2", 60, {}],
    ["of this machine, whose lock is free", "here/1 77 run1", 60, {}],
    ["no lease, but a text of somebody else's", "hello", 0, {}],
  ])("that is %s gives way at once", async (_what, lease, age, owner) => {
    stopClock();
    const pool = createPool(lease === "hello" ? lease : `${lease} ${NOW_S - age}`);
    expect((await daemon(pool, owner).taken).ok).toBe(true);
    expect(pool.pool.lease).toBe(`here/1 ${process.pid} run2 ${NOW_S}`);
  });

  test("that another has taken meanwhile is left to it, with an error in the log", async () => {
    stopClock();
    const pool = createPool();
    const { log, taken } = daemon(pool);
    const lease = await taken;
    const others = `there/9 77 run9 ${NOW_S}`;
    pool.pool.lease = others;
    await vi.advanceTimersByTimeAsync(4 * MINUTE_MS);
    expect(log.lines).toMatchObject([{ level: "error", fields: { host: "there/9", pid: "77" } }]);
    if (lease.ok) await lease.value.release();
    expect(pool.pool.lease).toBe(others);
  });

  test.each([
    ["read-only", "cannot set property for 'ut': pool is read-only\n", []],
    ["of which it may set no properties", "cannot set property for 'ut': permission denied\n", ["warn"]],
  ])("can't be written to a pool %s: it is served all the same", async (_what, refuses, levels) => {
    const { log, taken } = daemon(createPool("", refuses));
    expect((await taken).ok).toBe(true);
    expect(log.lines.map(({ level }) => level).filter((level) => level !== "debug")).toEqual(levels);
  });
});

describe("the lock of the machine", () => {
  test("refuses a second daemon with another dataDir, and names the first", async () => {
    const guid = newGuid();
    const pool = createPool();
    const first = await daemon(pool, { dataDir: "/first" }, { guid }).taken;
    const second = daemon(pool, { runId: "run3", dataDir: "/second" }, { guid });
    expect(await second.taken).toMatchObject({
      failure: {
        code: "pool.unavailable",
        message: `pool ut is served by another imagestore on this machine: pid ${process.pid}, dataDir /first`,
      },
    });
    if (first.ok) await first.value.release();
    expect((await daemon(pool, { runId: "run3" }, { guid }).taken).ok).toBe(true);
  });

  test("is free as soon as its process was killed", async () => {
    const name = newGuid();
    const script = `require("node:net").createServer((peer) => peer.end("pid of a child\\n"))
      .listen({ path: "\\0imagestore-" + process.argv[1] }, () => process.send("up"))`;
    const child = fork("-e", [], { execArgv: ["-e", script, name], stdio: "ignore" });
    await once(child, "message");
    expect(await lockOnHost(name, "")).toEqual({ kind: "held", holder: "pid of a child" });
    child.kill("SIGKILL");
    await once(child, "exit");
    const taken = await lockOnHost(name, "");
    expect(taken.kind).toBe("taken");
    if (taken.kind === "taken") taken.lock.release();
  });
});
