import { afterEach, expect, test, vi } from "vitest";
import type { PoolName } from "../../../../../src/protocol/storage/names.js";
import { followPool } from "../../../../../src/workers/drivers/openzfs/pool-follower.js";
import type { PoolFollower } from "../../../../../src/workers/drivers/seen-changes.js";
import type { CommandEnd } from "../../../../../src/workers/processes/run-command.js";
import { createKeptLog } from "../../../../support/memory-actor.js";
import { until } from "../../../../support/until.js";

const opened: PoolFollower[] = [];
afterEach(() => {
  for (const follower of opened.splice(0)) follower.close();
});

const snapshotText = (
  eid: number,
  name = `tank/v@s${eid}`,
) => `Nov 29 2026 17:50:26.2 sysevent.fs.zfs.history_event
        class = "sysevent.fs.zfs.history_event"
        pool = "tank"
        history_dsname = "${name}"
        history_internal_str = " "
        history_internal_name = "snapshot"
        time = 0x1 0x${eid.toString(16)}
        eid = 0x${eid.toString(16)}

`;

const EXITED: CommandEnd["exit"] = { kind: "exited", code: 0 };
const endOf = (exit: CommandEnd["exit"], stdout = ""): CommandEnd => ({
  argv: [],
  stdout,
  stderr: "",
  exit,
  ms: 1,
});

/** A follower of a kernel that this has: `kept` is what it has not forgotten. */
function open(listExit: () => CommandEnd["exit"] | Promise<CommandEnd["exit"]> = () => EXITED) {
  const kernel: { kept: number[]; running: ((text: string) => void) | undefined; runs: number } = {
    kept: [1, 2],
    running: undefined,
    runs: 0,
  };
  let end: (end: CommandEnd) => void = () => {};
  const argvs: string[] = [];
  const log = createKeptLog();
  const told: string[] = [];
  const follower = followPool({
    settings: { name: "tank" as PoolName, zpoolCommand: ["ssh", "node", "zpool"] },
    timeoutMs: 1_000,
    log,
    runner: {
      run: async (argv) => {
        argvs.push(argv.join(" "));
        kernel.runs++;
        return endOf(await listExit(), kernel.kept.map((eid) => snapshotText(eid)).join(""));
      },
      follow: (argv, onText) => {
        argvs.push(argv.join(" "));
        kernel.running = onText;
        for (const eid of kernel.kept) onText(snapshotText(eid));
        const ended = new Promise<CommandEnd>((resolve) => {
          end = (how) => {
            kernel.running = undefined;
            resolve(how);
          };
        });
        return { ended, stop: () => end(endOf({ kind: "signalled", signal: "SIGKILL" })) };
      },
    },
    onChange: ({ name }) => told.push(name),
    onMissed: () => told.push("missed"),
  });
  opened.push(follower);
  const post = (eid: number) => {
    kernel.kept.push(eid);
    kernel.running?.(snapshotText(eid));
  };
  return { kernel, follower, log, told, argvs, post, die: () => end(endOf({ kind: "exited", code: 1 })) };
}

test("what the kernel had before is not told, and what comes is", async () => {
  const { kernel, told, argvs, follower, post } = open();
  await until("it follows", () => kernel.running !== undefined);
  post(3);
  expect(told).toEqual(["missed", "tank/v@s3"]);
  expect(argvs).toEqual(["ssh node zpool events -v", "ssh node zpool events -v -f"]);
  expect(follower.isFollowing).toBe(true);
});

test("after a death it goes on where it was, and after a gap it tells of it", async () => {
  const { kernel, told, follower, post, die } = open();
  await until("it follows", () => kernel.running !== undefined);
  die();
  post(3);
  await until("it follows again", () => kernel.running !== undefined);
  expect(told).toEqual(["missed", "tank/v@s3"]);
  expect(follower.restarts).toBe(1);
  die();
  kernel.kept = [5];
  await until("it follows again", () => kernel.running !== undefined);
  expect(told).toEqual(["missed", "tank/v@s3", "missed"]);
  post(6);
  expect(told.at(-1)).toBe("tank/v@s6");
});

test("events that the kernel has dropped while it was followed are told as missed", async () => {
  const { kernel, told, post } = open();
  await until("it follows", () => kernel.running !== undefined);
  post(9);
  await until("they are missed", () => told.length === 3);
  expect(told).toEqual(["missed", "tank/v@s9", "missed"]);
});

test("a zpool that is not there is told once, and is tried again later each time", async () => {
  let isThere = false;
  const { kernel, follower, log, told } = open(() =>
    isThere ? EXITED : { kind: "not_started", errno: "ENOENT" },
  );
  await until("three tries", () => kernel.runs === 3);
  expect(log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  expect([told, follower.isFollowing]).toEqual([[], false]);
  isThere = true;
  await until("it follows", () => follower.isFollowing);
  expect(told).toEqual(["missed"]);
});

test("a restart that was asked for replaces what runs, and a close ends it", async () => {
  const { kernel, follower } = open();
  await until("it follows", () => kernel.running !== undefined);
  follower.restart();
  expect(kernel.running).toBeUndefined();
  await until("it follows again", () => kernel.running !== undefined);
  follower.close();
  await until("it has ended", () => !follower.isFollowing);
  expect(kernel.runs).toBe(2);
});

test("a list that fails late has failed too: it is told once, and is tried again later each time", async () => {
  const now = performance.now.bind(performance);
  let agoMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now() + agoMs);
  try {
    const runsAt: number[] = [];
    const { log } = open(() => {
      runsAt.push(now());
      agoMs += 20_000;
      return { kind: "timed_out", afterMs: 20_000 };
    });
    await until("three tries", () => runsAt.length === 3, 200_000);
    expect(log.lines.map(({ level }) => level)).toEqual(["warn"]);
    const [first = 0, , third = 0] = runsAt;
    // 500 ms and 1 s.
    expect(third - first).toBeGreaterThan(1_400);
  } finally {
    vi.restoreAllMocks();
  }
});

test("it tells up to when it has seen all, by other pools' events too", async () => {
  const { kernel, follower, post } = open();
  await until("it follows", () => kernel.running !== undefined);
  post(3);
  const before = follower.seenUpTo;
  await until("time passes", () => performance.now() > before + 1);
  kernel.running?.(snapshotText(4).replace('"tank"', '"other"').replace("0x1 0x4", "0x2 0x4"));
  expect(follower.seenUpTo).toBeGreaterThan(before);
  expect(follower.seenUpTo).toBeLessThanOrEqual(performance.now());
});
