import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import type { LibraryCall } from "../../../../src/workers/libzfs/library-call.js";
import type { CommandLimits } from "../../../../src/workers/processes/run-command.js";
import { type Runner, startRunner } from "../../../../src/workers/processes/runner-link.js";
import { createKeptLog } from "../../../support/memory-actor.js";
import { isAlive } from "../../../support/until.js";

const SCRIPT = fileURLToPath(new URL("../../../../dist/workers/runner.js", import.meta.url));
const STAND_IN = fileURLToPath(new URL("../../../fixtures/libzfs-stand-in.c", import.meta.url));
const LIMITS: CommandLimits = { timeoutMs: 20_000, stdoutBytes: 1024 * 1024 };
const LIMIT_MS = 20_000;

const hasCompiler = spawnSync("cc", ["--version"]).status === 0;
const skipped = hasCompiler ? "" : " (skipped: no C compiler is here)";

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-library-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Builds both libraries. @returns the folder that has them. */
function build(name: string, ...flags: readonly string[]): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  const core = join(folder, "libzfs_core.so.3");
  const built = spawnSync("cc", ["-shared", "-fPIC", "-w", ...flags, "-o", core, STAND_IN]);
  if (built.status !== 0) throw new Error(String(built.stderr));
  cpSync(core, join(folder, "libnvpair.so.3"));
  return folder;
}

const opened: Runner[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((runner) => runner.close()));
});

/** A runner that finds its libraries in `folder`. */
function open(folder: string, options: { readonly endLimitMs?: number } = {}) {
  const before = process.env.LD_LIBRARY_PATH;
  process.env.LD_LIBRARY_PATH = folder;
  const shared = createChildMemory();
  const log = createKeptLog();
  const children = createChildTable(shared);
  const settings = { silentMs: 60_000, replyLimitMs: 5_000, callThreads: 8, ...options };
  const runner = startRunner({ script: SCRIPT, children, log, ...settings });
  if (before === undefined) delete process.env.LD_LIBRARY_PATH;
  else process.env.LD_LIBRARY_PATH = before;
  opened.push(runner);
  const pid = () => -([...new Int32Array(shared)].find((id) => id !== 0) ?? 0);
  return { runner, log, pid };
}

const destroy = (last: string): LibraryCall => ({ name: "lzc_destroy", target: `tank/${last}` });

test("a runner that finds no library says so, and runs commands", async () => {
  const { runner } = open(join(scratch, "none"));
  const { exit } = await runner.call(destroy("0"), LIMIT_MS);
  expect(exit).toMatchObject({ kind: "unusable", why: expect.stringMatching(/libnvpair\.so\.3|koffi/) });
  expect((await runner.run(["echo", "on"], LIMITS)).stdout).toBe("on\n");
});

describe.skipIf(!hasCompiler)(`a runner with a library that stands in${skipped}`, () => {
  test("gives errnos and what a program returned", async () => {
    const { runner } = open(build("whole"));
    expect((await runner.call(destroy("0"), LIMIT_MS)).exit).toEqual({
      ...{ kind: "returned", errno: 0, errors: {}, value: "" },
    });
    expect((await runner.call(destroy("16"), LIMIT_MS)).exit).toMatchObject({ kind: "returned", errno: 16 });
    const program: LibraryCall = {
      ...{ name: "lzc_channel_program_nosync", pool: "tank", program: "return 'ä'", names: ["tank/a"] },
    };
    expect((await runner.call(program, LIMIT_MS)).exit).toMatchObject({ errno: 0, value: "return 'ä'" });
  });

  test.each([
    ["that lacks a function", "-DWITHOUT_ROLLBACK", /lzc_rollback_to/],
    ["without /dev/zfs", "-DNO_DEVICE", /can't open \/dev\/zfs: errno 2/],
  ])("%s calls nothing and says why", async (_what, flag, why) => {
    const { runner } = open(build(flag, flag));
    const { exit } = await runner.call(destroy("crashes"), LIMIT_MS);
    expect(exit).toMatchObject({ kind: "unusable", why: expect.stringMatching(why) });
  });

  test("refuses what its library has no function for, and makes the other calls", async () => {
    const { runner } = open(build("older", "-DWITHOUT_RENAME"));
    const rename = { name: "lzc_rename", from: "tank/crashes", to: "tank/b" } as const;
    expect((await runner.call(rename, LIMIT_MS)).exit).toMatchObject({ kind: "returned", errno: 38 });
    const promote = (target: string) => ({ name: "lzc_promote", target }) as const;
    expect((await runner.call(promote("tank/17"), LIMIT_MS)).exit).toMatchObject({ errno: 17 });
    expect((await runner.call(promote("tank/crashes"), LIMIT_MS)).exit).toEqual({ kind: "lost" });
  });

  test("replies to pings and runs commands and other calls while calls hang", async () => {
    const { runner } = open(build("hanging"));
    const hanging = Array.from({ length: 6 }, () => runner.call(destroy("hangs"), 60_000));
    expect((await runner.call(destroy("17"), LIMIT_MS)).exit).toMatchObject({ errno: 17 });
    expect(await runner.ping()).toEqual([]);
    expect((await runner.run(["echo", "on"], LIMITS)).stdout).toBe("on\n");
    await runner.close();
    for (const { exit } of await Promise.all(hanging)) expect(exit).toEqual({ kind: "lost" });
  });

  test("is killed and replaced when a call is over its time limit, and says what is unknown", async () => {
    const { runner, pid, log } = open(build("late"));
    const other = runner.call(destroy("hangs"), 60_000);
    const late = await runner.call(destroy("hangs"), 1_500);
    expect(late.exit).toEqual({ kind: "timed_out", afterMs: 1_500 });
    expect((await other).exit).toEqual({ kind: "lost" });
    expect((await runner.run(["echo", "again"], LIMITS)).stdout).toBe("again\n");
    expect(pid()).toBeGreaterThan(0);
    expect(runner.restarts).toBe(1);
    expect(log.lines.map(({ message }) => message)).toEqual([
      "the runner does not reply; it is killed",
      "the runner ended; it is started again",
    ]);
  });

  test("that a call crashes takes its calls along, and the next one finds a new one", async () => {
    const folder = build("crashing");
    const { runner } = open(folder);
    const other = runner.call(destroy("hangs"), 60_000);
    expect((await runner.call(destroy("crashes"), LIMIT_MS)).exit).toEqual({ kind: "lost" });
    expect((await other).exit).toEqual({ kind: "lost" });
    expect((await runner.run(["echo", "again"], LIMITS)).stdout).toBe("again\n");
    expect(runner.restarts).toBe(1);
  });
});

test("a killed runner that does not end is not waited for", async () => {
  // Without any time for its end, a killed one is given up before it is dead.
  const { runner, pid, log } = open(join(scratch, "none"), { endLimitMs: 0 });
  const first = pid();
  onTestFinished(() => void process.kill(first, "SIGKILL"));
  await runner.ping();
  process.kill(first, "SIGSTOP");
  const late = await runner.call(destroy("0"), 200);
  expect(late.exit).toEqual({ kind: "timed_out", afterMs: 200 });
  expect(isAlive(first)).toBe(true);
  expect((await runner.run(["echo", "again"], LIMITS)).stdout).toBe("again\n");
  expect(log.lines.map(({ message }) => message)).toContain(
    "the killed runner does not end; another takes its place",
  );
});
