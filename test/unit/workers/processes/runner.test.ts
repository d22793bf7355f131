import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { endOrphans } from "../../../../src/main/threads/orphans.js";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { diagnoseActor } from "../../../../src/workers/actor/diagnose-actor.js";
import { createCommandBoard, listWithPids } from "../../../../src/workers/processes/command-board.js";
import { failureOf } from "../../../../src/workers/processes/command-failures.js";
import type { CommandLimits } from "../../../../src/workers/processes/run-command.js";
import { type Runner, startRunner } from "../../../../src/workers/processes/runner-link.js";
import { createKindSlots, limitCommands } from "../../../../src/workers/processes/slots.js";
import { createKeptLog } from "../../../support/memory-actor.js";
import { isAlive, until } from "../../../support/until.js";

const SCRIPT = fileURLToPath(new URL("../../../../dist/workers/runner.js", import.meta.url));
const LIMITS: CommandLimits = { timeoutMs: 20_000, stdoutBytes: 1024 * 1024 };

/** A runner that is only being started, on a busy machine, takes a second or two. */
const SILENT_MS = 4_000;

const opened: Runner[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((runner) => runner.close()));
});

function open(replyLimitMs = 5_000, silentMs = 60_000) {
  const shared = createChildMemory();
  const log = createKeptLog();
  const children = createChildTable(shared);
  const runner = startRunner({ script: SCRIPT, children, log, silentMs, replyLimitMs });
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
  test("tells the pids of the commands that run, for those on the board", async () => {
    const started = open();
    const board = createCommandBoard();
    const limited = limitCommands(
      createKindSlots({ read: 1, hold: 1, change: 1, destroy: 1 }, board),
      started.runner.run,
      () => {},
    );
    const argv = ["sleep", "600"];
    const ended = [limited(argv, LIMITS, "read"), limited(argv, LIMITS, "read")];
    await until("a pid is known", async () => {
      const [first] = await listWithPids(board, started.runner);
      return first?.pid !== undefined;
    });
    const [sleeping] = childrenOf(started.pid());
    const listed = await listWithPids(board, started.runner);
    expect(listed).toMatchObject([
      { argv, pid: sleeping, state: "running" },
      { argv, state: "slot" },
    ]);
    // A runner that hangs: its commands are listed all the same.
    process.kill(started.pid(), "SIGSTOP");
    expect(await listWithPids(board, started.runner)).toMatchObject([
      { argv, state: "running" },
      { argv, state: "slot" },
    ]);
    process.kill(started.pid(), "SIGCONT");
    await started.runner.close();
    await Promise.all(ended);
    expect(board.list()).toEqual([]);
  });

  test("that is stopped is said to be silent, and the actor's diagnosis is there all the same", async () => {
    const started = open();
    const commands = createCommandBoard();
    const slots = { read: 1, hold: 2, change: 3, destroy: 4 };
    const limited = limitCommands(createKindSlots(slots, commands), started.runner.run, () => {});
    const argv = ["sleep", "600"];
    const ended = [limited(argv, LIMITS, "read"), limited(argv, LIMITS, "read")];
    const board = { size: 2, list: async () => [] };
    const fetches = { counts: () => ({ running: 1, waiting: 3 }) };
    const holds = [{ tag: "imagestore:r-1", name: "tank/a@s", users: 1 }];
    const { runner } = started;
    const ask = () => diagnoseActor({ board, fetches, commands, runner, slots, holds });
    await until("a pid is known", async () => (await ask()).commands[0]?.pid !== undefined);
    process.kill(started.pid(), "SIGSTOP");
    const diagnosis = await ask();
    expect(diagnosis).toMatchObject({
      works: 2,
      runner: "silent",
      fetches: { running: 1, waiting: 3 },
      holds,
    });
    expect(diagnosis.commands.map(({ state, pid }) => [state, pid])).toEqual([
      ["running", undefined],
      ["slot", undefined],
    ]);
    expect(diagnosis.slots).toEqual([
      { kind: "read", most: 1, running: 1, waiting: 1 },
      { kind: "hold", most: 2, running: 0, waiting: 0 },
      { kind: "change", most: 3, running: 0, waiting: 0 },
      { kind: "destroy", most: 4, running: 0, waiting: 0 },
    ]);
    process.kill(started.pid(), "SIGCONT");
    await runner.close();
    await Promise.all(ended);
    expect(await diagnoseActor({ board, fetches, commands, runner: undefined, slots, holds })).toMatchObject({
      runner: "none",
      slots: [],
      commands: [],
    });
  });

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

  test("is not started again before the commands of the dead one have ended, and loses none of its own", async () => {
    const running = open();
    const { ended, sleeping } = await startSleep(running);
    process.kill(running.pid(), "SIGKILL");
    let sent = 0;
    const burst: ReturnType<Runner["run"]>[] = [];
    await until("the dead one's command is answered", async () => {
      burst.push(running.runner.run(["sh", "-c", `kill -0 ${sleeping} 2>&1; echo ${sent++}`], LIMITS));
      const notYet = new Promise<boolean>((resolve) => setImmediate(resolve, false));
      return Promise.race([ended.then(() => true), notYet]);
    });
    expect((await ended).exit).toEqual({ kind: "lost" });
    const answers = (await Promise.all(burst)).map(({ stdout, exit }) => [exit, stdout.split("\n").at(-2)]);
    // The first may have reached the dying process; every other was run by the new one.
    const lost = answers.filter(([exit]) => JSON.stringify(exit) === '{"kind":"lost"}').length;
    expect(lost).toBeLessThan(answers.length);
    expect(answers.slice(lost)).toEqual(
      answers.slice(lost).map((_, index) => [{ kind: "exited", code: 0 }, String(index + lost)]),
    );
    expect(running.runner.restarts).toBe(1);
  });

  test("that is stopped is killed when a command is overdue, with what it runs, and replaced", async () => {
    const running = open(100);
    const { ended, sleeping } = await startSleep(running);
    const first = running.pid();
    process.kill(first, "SIGSTOP");
    const late = await running.runner.run(["true"], { ...LIMITS, timeoutMs: 100 });
    expect(late.exit).toEqual({ kind: "timed_out", afterMs: 100 });
    expect((await ended).exit).toEqual({ kind: "lost" });
    expect([isAlive(first), isAlive(sleeping)]).toEqual([false, false]);
    expect((await running.runner.run(["echo", "again"], LIMITS)).stdout).toBe("again\n");
    expect(running.runner.restarts).toBe(1);
    expect(running.log.lines.map(({ message }) => message)).toEqual([
      "the runner does not reply; it is killed",
      "the runner ended; it is started again",
    ]);
  });

  test("that is stopped is killed soon, though what it runs may take hours", async () => {
    const running = open(5_000, SILENT_MS);
    const ended = running.runner.run(["sleep", "600"], { ...LIMITS, timeoutMs: 36_000_000 });
    await until("it sleeps", () => running.pid() > 0 && childrenOf(running.pid()).length > 0);
    const first = running.pid();
    const [sleeping = 0] = childrenOf(first);
    process.kill(first, "SIGSTOP");
    expect((await ended).exit).toEqual({ kind: "lost" });
    expect([isAlive(first), isAlive(sleeping)]).toEqual([false, false]);
    expect((await running.runner.run(["echo", "again"], LIMITS)).stdout).toBe("again\n");
    expect(running.log.lines.map(({ message }) => message)).toEqual([
      "the runner gives no sign of life; it is killed",
      "the runner ended; it is started again",
    ]);
  });

  test("that is slow is not killed: it need not reply to each question in time", async () => {
    const running = open(5_000, SILENT_MS);
    const ended = running.runner.run(["sh", "-c", "sleep 6; echo done"], LIMITS);
    await until("it runs", () => running.pid() > 0 && childrenOf(running.pid()).length > 0);
    let hasEnded = false;
    void ended.then(() => {
      hasEnded = true;
    });
    // For half of the time that it may be silent, again and again.
    for (let signal: NodeJS.Signals = "SIGSTOP"; !hasEnded; ) {
      process.kill(running.pid(), signal);
      await Promise.race([ended, sleep(signal === "SIGSTOP" ? SILENT_MS / 2 : SILENT_MS / 8)]);
      signal = signal === "SIGSTOP" ? "SIGCONT" : "SIGSTOP";
    }
    expect(await ended).toMatchObject({ stdout: "done\n", exit: { kind: "exited", code: 0 } });
    expect(running.log.lines).toEqual([]);
  });

  test("is not killed for a pause of this thread, in which it was stopped too", async () => {
    const running = open(5_000, SILENT_MS);
    const { ended } = await startSleep(running);
    const first = running.pid();
    process.kill(first, "SIGSTOP");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SILENT_MS + 1_000);
    process.kill(first, "SIGCONT");
    // Longer than it may be silent.
    expect((await running.runner.run(["sleep", "5"], LIMITS)).exit).toEqual({ kind: "exited", code: 0 });
    expect([running.pid(), running.log.lines]).toEqual([first, []]);
    await running.runner.close();
    await ended;
  });

  test("replies to a ping while it lives, and does not while it is stopped", async () => {
    const running = open();
    await running.runner.ping();
    process.kill(running.pid(), "SIGSTOP");
    const late = new Promise((resolve) => setTimeout(resolve, 200, "late"));
    const pinged = running.runner.ping().then(() => "pinged");
    expect(await Promise.race([pinged, late])).toBe("late");
    process.kill(running.pid(), "SIGCONT");
    expect(await pinged).toBe("pinged");
  });

  test("that is stopped is closed all the same", async () => {
    const running = open();
    const { ended, sleeping } = await startSleep(running);
    const pid = running.pid();
    process.kill(pid, "SIGSTOP");
    await running.runner.close();
    expect((await ended).exit).toEqual({ kind: "lost" });
    expect([isAlive(pid), isAlive(sleeping)]).toEqual([false, false]);
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
