import { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test, vi } from "vitest";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { followCommand } from "../../../../src/workers/processes/follow-command.js";
import { type Runner, startRunner } from "../../../../src/workers/processes/runner-link.js";
import { createKeptLog } from "../../../support/memory-actor.js";
import { isAlive, until } from "../../../support/until.js";

const SCRIPT = fileURLToPath(new URL("../../../../dist/workers/runner.js", import.meta.url));

const opened: Runner[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((runner) => runner.close()));
});

function open() {
  const shared = createChildMemory();
  const children = createChildTable(shared);
  const runner = startRunner({ script: SCRIPT, children, log: createKeptLog(), silentMs: 60_000 });
  opened.push(runner);
  /** The runner's own pid: its group is in the table. */
  const pid = () => -([...new Int32Array(shared)].find((id) => id !== 0) ?? 0);
  return { runner, pid };
}

/** A command that tells its pid and goes on. */
async function followSleep({ follow }: Pick<Runner, "follow">) {
  let text = "";
  const command = follow(["sh", "-c", "echo $$; exec sleep 600"], (more) => {
    text += more;
  });
  await until("it has written", () => text.endsWith("\n"));
  return { ...command, pid: Number(text) };
}

test("gives what a followed command writes, its end and its errors", async () => {
  const { runner } = open();
  const texts: string[] = [];
  const script = "echo one; echo two >&2; sleep 0.2; echo three; exit 4";
  const end = await runner.follow(["sh", "-c", script], (text) => texts.push(text)).ended;
  expect(texts.join("")).toBe("one\nthree\n");
  expect(end).toMatchObject({ exit: { kind: "exited", code: 4 }, stderr: "two\n" });
  const missing = await runner.follow(["/nowhere/zpool"], () => {}).ended;
  expect(missing.exit).toEqual({ kind: "not_started", errno: "ENOENT" });
});

test("a lot of text comes whole, and in its order", async () => {
  const { runner } = open();
  const lines = 300_000;
  let text = "";
  await runner.follow(["seq", String(lines)], (more) => {
    text += more;
  }).ended;
  expect(text.split("\n").length).toBe(lines + 1);
  expect(text.endsWith(`\n${lines}\n`)).toBe(true);
});

test("a stop kills it, also one that is stopped itself, and nothing more comes of it", async () => {
  const { runner } = open();
  const command = await followSleep(runner);
  process.kill(command.pid, "SIGSTOP");
  command.stop();
  expect((await command.ended).exit).toEqual({ kind: "signalled", signal: "SIGKILL" });
  expect(isAlive(command.pid)).toBe(false);
  const never = runner.follow(["sh", "-c", "echo x; sleep 600"], () => expect.unreachable());
  never.stop();
  await never.ended;
});

test("it ends with its runner, and another runner follows the next one", async () => {
  const { runner, pid } = open();
  const command = await followSleep(runner);
  process.kill(pid(), "SIGKILL");
  expect((await command.ended).exit).toEqual({ kind: "lost" });
  await until("it has ended", () => !isAlive(command.pid));
  const next = await followSleep(runner);
  await runner.close();
  expect((await next.ended).exit).toEqual({ kind: "lost" });
  expect(isAlive(next.pid)).toBe(false);
});

test("one that belongs to another user can't be killed; then nobody waits for it, and a second stop does no harm", async () => {
  const kill = vi.spyOn(ChildProcess.prototype, "kill").mockImplementation(function (this: ChildProcess) {
    // What Node does where kill(2) says so.
    this.emit("error", Object.assign(new Error("kill EPERM"), { code: "EPERM" }));
    return false;
  });
  let text = "";
  const command = followCommand(
    ["sh", "-c", "echo $$; exec sleep 600"],
    createChildTable(createChildMemory()),
    (more) => {
      text += more;
      return true;
    },
  );
  await until("it has written", () => text.endsWith("\n"));
  try {
    command.stop();
    command.stop();
    expect((await command.ended).exit).toEqual({ kind: "lost" });
  } finally {
    kill.mockRestore();
    process.kill(Number(text), "SIGKILL");
  }
});
