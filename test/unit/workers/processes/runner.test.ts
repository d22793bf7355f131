import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { endOrphans } from "../../../../src/main/threads/orphans.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { failureOf } from "../../../../src/workers/processes/command-failures.js";
import type { CommandLimits } from "../../../../src/workers/processes/run-command.js";
import { type Runner, startRunner } from "../../../../src/workers/processes/runner-link.js";
import { createKeptLog, scratchFolder } from "../../../support/memory-actor.js";
import { isAlive, until } from "../../../support/until.js";

const SCRIPT = fileURLToPath(new URL("../../../../dist/workers/runner.js", import.meta.url));
const LIMITS: CommandLimits = { timeoutMs: 20_000, stdoutBytes: 1024 * 1024 };

const opened: Runner[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((runner) => runner.close()));
});

function open() {
  const shared = createChildMemory();
  const log = createKeptLog();
  const runner = startRunner({ script: SCRIPT, children: createChildTable(shared), log });
  opened.push(runner);
  /** The runner's own pid: its group is in the table. */
  const pid = () => -([...new Int32Array(shared)].find((id) => id !== 0) ?? 0);
  return { runner, log, shared, pid };
}

/** pids of the processes that a process has running. */
function childrenOf(pid: number): number[] {
  const { stdout } = spawnSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" });
  return stdout.trim().split(/\s+/).filter(Boolean).map(Number);
}

/** A command that is under way until it is killed, and its pid. */
async function startSleep({ runner, pid }: ReturnType<typeof open>) {
  const ended = runner.run(["sleep", "600"], LIMITS);
  let sleeping: number | undefined;
  await until("it sleeps", () => {
    [sleeping] = pid() > 0 ? childrenOf(pid()) : [];
    return sleeping !== undefined;
  });
  return { ended, sleeping: sleeping as number };
}

describe("the runner", () => {
  test("gives a command's output, its errors and its exit, and how long its spawn took", async () => {
    const { runner } = open();
    const argv = ["sh", "-c", "printf 'a\\tb\\n'; echo oops >&2; exit 3"];
    const end = await runner.run(argv, LIMITS);
    expect(end).toMatchObject({
      argv,
      stdout: "a\tb\n",
      stderr: "oops\n",
      exit: { kind: "exited", code: 3 },
    });
    expect(end.spawnMs).toBeGreaterThan(0);
  });

  test("gives a command what it is to read", async () => {
    const { runner } = open();
    const stdin = 'a "line"\nand é\n';
    expect((await runner.run(["cat"], { ...LIMITS, stdin })).stdout).toBe(stdin);
  });

  test("keeps time limits and says what could not be started", async () => {
    const { runner } = open();
    const [slow, none] = await Promise.all([
      runner.run(["sleep", "600"], { ...LIMITS, timeoutMs: 50 }),
      runner.run(["/no/such/program"], LIMITS),
    ]);
    expect(slow.exit).toEqual({ kind: "timed_out", afterMs: 50 });
    expect(none.exit).toEqual({ kind: "not_started", errno: "ENOENT" });
  });

  test("runs many commands at once, each answer for its own", async () => {
    const { runner } = open();
    const words = Array.from({ length: 100 }, (_, index) => String(index));
    const ends = await Promise.all(words.map((word) => runner.run(["echo", word], LIMITS)));
    expect(ends.map(({ stdout }) => stdout)).toEqual(words.map((word) => `${word}\n`));
    expect(runner.restarts).toBe(0);
  });

  test("that is killed takes its commands along, and the next command finds a new one", async () => {
    const running = open();
    const { ended, sleeping } = await startSleep(running);
    const first = running.pid();
    process.kill(first, "SIGKILL");
    const end = await ended;
    expect(end.exit).toEqual({ kind: "lost" });
    expect(failureOf(end).failure).toMatchObject({ code: "service.interrupted" });
    // Nothing of it may go on when the answer says that it was interrupted.
    expect(isAlive(sleeping)).toBe(false);
    expect((await running.runner.run(["echo", "again"], LIMITS)).stdout).toBe("again\n");
    expect(running.runner.restarts).toBe(1);
    expect(running.pid()).not.toBe(first);
    expect(running.log.lines.map(({ message }) => message)).toEqual([
      "the runner ended; it is started again",
    ]);
  });

  test("that is started again while the commands of the dead one are ended loses none of its own", async () => {
    using folder = scratchFolder();
    const flag = join(folder.path, "go");
    const wait = ["sh", "-c", `until [ -e '${flag}' ]; do sleep 0.01; done; echo done`];
    const running = open();
    const { ended } = await startSleep(running);
    process.kill(running.pid(), "SIGKILL");
    let first: ReturnType<Runner["run"]> | undefined;
    await until("a new one is started", () => {
      first = running.runner.run(wait, LIMITS);
      return running.runner.restarts === 1;
    });
    expect((await ended).exit).toEqual({ kind: "lost" });
    writeFileSync(flag, "");
    expect(await first).toMatchObject({ stdout: "done\n", exit: { kind: "exited", code: 0 } });
  });

  test("ends with what it runs when it is closed, and runs nothing any more", async () => {
    const running = open();
    const { ended, sleeping } = await startSleep(running);
    const pid = running.pid();
    await running.runner.close();
    expect((await ended).exit).toEqual({ kind: "lost" });
    expect([isAlive(pid), isAlive(sleeping)]).toEqual([false, false]);
    expect((await running.runner.run(["true"], LIMITS)).exit).toEqual({ kind: "lost" });
    expect(running.log.lines).toEqual([]);
  });

  test("of a dead actor is ended with its commands by its group", async () => {
    const running = open();
    const { ended, sleeping } = await startSleep(running);
    const pid = running.pid();
    expect(await endOrphans(running.shared)).toEqual([]);
    expect([isAlive(pid), isAlive(sleeping)]).toEqual([false, false]);
    await ended;
  });
});
