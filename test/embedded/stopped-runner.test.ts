import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { call } from "../support/rpc.js";
import { isAlive, until } from "../support/until.js";

const standIn = (name: string) => fileURLToPath(new URL(`../../bench/fake/${name}`, import.meta.url));
const COMMAND_MS = 1_000;
/** What an answer may take with a runner that was stopped: its limit, and 7 s. It was for ever, as a stop was. */
const LIMIT_MS = 12_000;

/** The pid of the daemon's runner. Throws if there is none. */
function runnerOf({ pid }: DaemonProcess): number {
  const found = readdirSync("/proc").find((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      return parent === pid && readFileSync(`/proc/${entry}/cmdline`, "latin1").includes("runner.js");
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error("no runner");
  return Number(found);
}

async function within<T>(work: Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await work;
  expect(performance.now() - begun).toBeLessThan(LIMIT_MS);
  return result;
}

test("a runner that is stopped is told by readyz, replaced by the next call, and ended by a stop", async () => {
  const daemon = await startDaemonProcess({
    listen: { port: 0 },
    pools: [
      { name: "bench", zfsCommand: [standIn("zfs")], zpoolCommand: [standIn("zpool")], deviceWaitMs: 0 },
    ],
    timeouts: { commandMs: COMMAND_MS, readyMs: 300, graceMs: 1_000 },
  });
  const first = runnerOf(daemon);
  onTestFinished(async () => {
    if (isAlive(first)) process.kill(first, "SIGKILL");
    if (daemon.process.exitCode === null) daemon.process.kill("SIGKILL");
    await daemon.exited;
  });
  const ready = async () => (await fetch(`${daemon.url}/readyz`)).status;
  const look = () => call(daemon.url, "GetVolume", { id: "guests/mib-1/v" });
  expect((await look()).error).toBeNull();
  expect(await ready()).toBe(200);

  process.kill(first, "SIGSTOP");
  expect(await within(ready())).toBe(503);
  expect((await within(look())).error).toMatch(/outcome is unknown|no end after/);
  expect((await within(look())).error).toBeNull();
  await until("the pool is ready again", async () => (await ready()) === 200);
  expect(isAlive(first)).toBe(false);

  const second = runnerOf(daemon);
  expect(second).not.toBe(first);
  process.kill(second, "SIGSTOP");
  const waiting = look().catch(() => undefined);
  expect(await within(daemon.stop())).toBe(0);
  await waiting;
  expect(isAlive(second)).toBe(false);
});
