import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createChildMemory, createChildTable } from "../../../../src/protocol/threads/child-table.js";
import { STDERR_BYTES } from "../../../../src/workers/processes/child-process.js";
import {
  type CommandEnd,
  type CommandLimits,
  runCommand,
} from "../../../../src/workers/processes/run-command.js";
import { createKindSlots, limitCommands } from "../../../../src/workers/processes/slots.js";
import { isAlive, until } from "../../../support/until.js";

const LIMITS: CommandLimits = { timeoutMs: 20_000, stdoutBytes: 1024 * 1024 };

const shared = createChildMemory();
const pids = () => [...new Int32Array(shared)].filter((pid) => pid !== 0);

function createRunner(slots = 4) {
  const ends: CommandEnd[] = [];
  const children = createChildTable(shared);
  const limited = limitCommands(
    createKindSlots({ read: 1, hold: 1, change: slots, destroy: 1 }),
    (argv, limits) => runCommand(argv, limits, children),
    (end) => ends.push(end),
  );
  const run = (argv: readonly string[], limits: CommandLimits) => limited(argv, limits, "change");
  return { run, ends };
}

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "imagestore-command-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

afterEach(() => {
  // A child that is still in the table was not waited for.
  expect(pids()).toEqual([]);
});

describe("a command that ends by itself", () => {
  test("gives its output, its errors and its exit status, and tells of its end", async () => {
    const { run, ends } = createRunner();
    const argv = ["sh", "-c", "printf 'a\\tb\\n'; echo oops >&2; exit 3"];
    const end = await run(argv, LIMITS);
    expect(end).toMatchObject({
      argv,
      stdout: "a\tb\n",
      stderr: "oops\n",
      exit: { kind: "exited", code: 3 },
    });
    expect(end.ms).toBeGreaterThan(0);
    expect(ends).toEqual([end]);
  });

  test("takes its words as they are: no shell looks at them", async () => {
    const { run } = createRunner();
    const words = ["a b", "$(reboot)", "*", "-n", "'", "é"];
    const end = await run(["printf", "%s\\n", ...words], LIMITS);
    expect(end.stdout).toBe(`${words.join("\n")}\n`);
  });

  test("reads nothing: its stdin is at its end", async () => {
    const { run } = createRunner();
    expect(await run(["cat"], LIMITS)).toMatchObject({ stdout: "", exit: { kind: "exited", code: 0 } });
  });

  test("reads what it is given, and nothing behind it", async () => {
    const { run } = createRunner();
    const stdin = `é${"x".repeat(200_000)}`;
    const end = await run(["cat"], { ...LIMITS, stdin });
    expect(end.stdout).toBe(stdin);
    expect(end.exit).toEqual({ kind: "exited", code: 0 });
  });

  test("need not read what it is given", async () => {
    const { run } = createRunner();
    const argv = ["sh", "-c", "exec <&-; echo why >&2; sleep 0.1; exit 2"];
    const end = await run(argv, { ...LIMITS, stdin: "x".repeat(1_000_000) });
    expect(end).toMatchObject({ stderr: "why\n", exit: { kind: "exited", code: 2 } });
  });

  test("speaks the C locale, whatever ours is", async () => {
    const { run } = createRunner();
    const end = await run(["sh", "-c", 'echo "$LC_ALL $LANG"'], LIMITS);
    expect(end.stdout).toBe("C C\n");
  });

  test("that a signal ended says which", async () => {
    const { run } = createRunner();
    const end = await run(["sh", "-c", "kill -TERM $$"], LIMITS);
    expect(end.exit).toEqual({ kind: "signalled", signal: "SIGTERM" });
  });

  test("may write characters of several bytes in whatever pieces", async () => {
    const { run } = createRunner();
    const end = await run(["sh", "-c", "printf '\\303'; sleep 0.05; printf '\\251'"], LIMITS);
    expect(end.stdout).toBe("é");
  });
});

describe("a command that can't be started", () => {
  test("because there is no such program: ENOENT", async () => {
    const { run, ends } = createRunner();
    const end = await run(["/no/such/program", "x"], LIMITS);
    expect(end).toMatchObject({ stdout: "", stderr: "", exit: { kind: "not_started", errno: "ENOENT" } });
    expect(ends).toEqual([end]);
    expect((await run(["/no/such/program"], { ...LIMITS, stdin: "x" })).exit).toEqual(end.exit);
  });

  test("because it is no program: EACCES", async () => {
    const path = join(scratch, "no-program");
    writeFileSync(path, "", { mode: 0o600 });
    const { run } = createRunner();
    expect((await run([path], LIMITS)).exit).toEqual({ kind: "not_started", errno: "EACCES" });
  });

  test("because its path leads through a file: ENOTDIR", async () => {
    const path = join(scratch, "file");
    writeFileSync(path, "");
    const { run } = createRunner();
    const end = await run([join(path, "zfs")], LIMITS);
    expect(end.exit).toEqual({ kind: "not_started", errno: "ENOTDIR" });
  });

  test("because its words are longer than the system takes: E2BIG", async () => {
    const { run } = createRunner();
    const end = await run(["true", "x".repeat(4 * 1024 * 1024)], LIMITS);
    expect(end.exit).toEqual({ kind: "not_started", errno: "E2BIG" });
  });

  test("gives its slot back", async () => {
    const { run } = createRunner(1);
    for (let round = 0; round < 3; round++) await run(["/no/such/program"], LIMITS);
    expect((await run(["echo", "x"], LIMITS)).stdout).toBe("x\n");
  });
});

describe("limits", () => {
  test("a command that takes too long is killed, and what it wrote is kept", async () => {
    const { run } = createRunner();
    const pidFile = "echo $$ >&2; echo begun; exec sleep 1000";
    const end = await run(["sh", "-c", pidFile], { ...LIMITS, timeoutMs: 300 });
    expect(end.exit).toEqual({ kind: "timed_out", afterMs: 300 });
    expect(end.stdout).toBe("begun\n");
    expect(isAlive(Number(end.stderr))).toBe(false);
    expect(end.ms).toBeLessThan(10_000);
  });

  test("a command that ignores SIGTERM is killed all the same", async () => {
    const { run } = createRunner();
    const end = await run(["sh", "-c", "trap '' TERM; while :; do :; done"], { ...LIMITS, timeoutMs: 200 });
    expect(end.exit).toEqual({ kind: "timed_out", afterMs: 200 });
  });

  test("a command that writes too much is killed, with no more kept than the limit", async () => {
    const { run } = createRunner();
    const end = await run(["sh", "-c", "echo $$ >&2; exec cat /dev/zero"], {
      ...LIMITS,
      stdoutBytes: 100_000,
    });
    expect(end.exit).toEqual({ kind: "too_much_output", limitBytes: 100_000 });
    expect(Buffer.byteLength(end.stdout)).toBeLessThanOrEqual(100_000);
    expect(isAlive(Number(end.stderr.trim()))).toBe(false);
  });

  test("output of exactly the limit is not too much", async () => {
    const { run } = createRunner();
    const end = await run(["head", "-c", "100000", "/dev/zero"], { ...LIMITS, stdoutBytes: 100_000 });
    expect(end.exit).toEqual({ kind: "exited", code: 0 });
    expect(end.stdout.length).toBe(100_000);
  });

  test("errors are kept up to their bound and the rest is dropped, without harm to the command", async () => {
    const { run } = createRunner();
    const end = await run(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo done"], LIMITS);
    expect(end).toMatchObject({ stdout: "done\n", exit: { kind: "exited", code: 0 } });
    expect(end.stderr.length).toBe(STDERR_BYTES);
  });
});

describe("slots", () => {
  test("no more commands run at once than there are slots, and all of them run", async () => {
    const { run, ends } = createRunner(3);
    const mark = join(scratch, "running");
    // Each counts those that run with it: a file a process, counted while it is there.
    const script = `mkdir -p ${mark}; : > ${mark}/$$; ls ${mark} | wc -l; sleep 0.05; rm ${mark}/$$`;
    const all = await Promise.all(Array.from({ length: 20 }, () => run(["sh", "-c", script], LIMITS)));
    const together = all.map(({ stdout }) => Number(stdout));
    expect(Math.max(...together)).toBeLessThanOrEqual(3);
    expect(Math.max(...together)).toBeGreaterThan(1);
    expect(ends.length).toBe(20);
  });

  test("those that wait start in the order they came", async () => {
    const { run, ends } = createRunner(1);
    await Promise.all(["a", "b", "c", "d"].map((word) => run(["echo", word], LIMITS)));
    expect(ends.map(({ stdout }) => stdout.trim())).toEqual(["a", "b", "c", "d"]);
  });

  test("the time limit of a command begins when it starts, not while it waits", async () => {
    const { run } = createRunner(1);
    const limits = { ...LIMITS, timeoutMs: 1_500 };
    const all = await Promise.all(Array.from({ length: 4 }, () => run(["sleep", "0.6"], limits)));
    expect(all.map(({ exit }) => exit)).toEqual(Array(4).fill({ kind: "exited", code: 0 }));
  });

  test("a running command is in the table of children, an ended one is not", async () => {
    const { run } = createRunner();
    const flag = join(scratch, "go");
    const running = run(["sh", "-c", `while [ ! -e ${flag} ]; do sleep 0.01; done`], LIMITS);
    await until("the child is in the table", () => pids().length === 1);
    expect(isAlive(pids()[0] ?? 0)).toBe(true);
    writeFileSync(flag, "");
    await running;
    expect(pids()).toEqual([]);
  });
});
