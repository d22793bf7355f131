import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import { listProcesses, readProcess } from "../../../../src/main/threads/process-list.js";
import { until } from "../../../support/until.js";

let started: ChildProcess | undefined;
afterEach(() => {
  // The whole group.
  if (started?.pid !== undefined) process.kill(-started.pid, "SIGKILL");
});

test("a process is listed with all below it, parents first, and with what state it is in", async () => {
  started = spawn("sh", ["-c", "sleep 600 & wait"], { detached: true, stdio: "ignore" });
  const root = started.pid as number;
  await until("both run", async () => (await listProcesses(root)).some(({ name }) => name === "sleep"));
  process.kill(root, "SIGSTOP");
  await until("it is stopped", async () => (await readProcess(root))?.state === "T");
  const listed = await listProcesses(root);
  expect(listed).toMatchObject([
    { pid: root, parent: process.pid, group: root, state: "T", name: "sh" },
    { parent: root, group: root, state: "S", name: "sleep" },
  ]);
  for (const { ms } of listed) expect(ms).toBeLessThan(60_000);
  const below = await listProcesses(process.pid);
  expect(below[0]?.pid).toBe(process.pid);
  expect(below.map(({ pid }) => pid)).toContain(root);
});

test("a process that is not there has no list", async () => {
  expect(await listProcesses(2 ** 30)).toEqual([]);
  expect(await readProcess(2 ** 30)).toBeUndefined();
});
