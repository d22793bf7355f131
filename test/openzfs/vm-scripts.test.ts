import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { until } from "../support/until.js";

const START = fileURLToPath(new URL("../openzfs-vm/start.sh", import.meta.url));
const LIMIT_MS = 60_000;

/** Whether some process has these words beside each other in its argv. */
function isAnyCalled(...words: readonly string[]): boolean {
  const wanted = `\0${words.join("\0")}\0`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(wanted);
      } catch {
        return false;
      }
    });
}

const isRunning = (pid: number) => existsSync(`/proc/${pid}`);

describe.skipIf("skip" in inject("vm"))("a VM that is starting", () => {
  /** Begins to start one more VM, small, and waits until its QEMU runs. */
  async function beginVm(owner: number): Promise<{ script: ChildProcess; run: string; qemu: number }> {
    const parent = mkdtempSync(join(tmpdir(), "is-"));
    onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
    const run = join(parent, "vm");
    const script = spawn(START, [], {
      env: {
        ...process.env,
        OPENZFS_VM_RUN: run,
        VM_POOL: "",
        VM_MEM: "512M",
        VM_DISKS: "64M",
        VM_OWNER: String(owner),
      },
      stdio: "ignore",
    });
    const file = join(run, "qemu.pid");
    await until("QEMU runs", () => existsSync(file) && readFileSync(file, "utf8").includes("\n"), LIMIT_MS);
    return { script, run, qemu: Number(readFileSync(file, "utf8")) };
  }

  test("ends with the script that is told to end", async () => {
    const { script, run, qemu } = await beginVm(process.pid);
    script.kill("SIGTERM");
    const [status] = await once(script, "close");
    expect(status).toBe(143);
    expect(existsSync(run)).toBe(false);
    await until("QEMU has ended", () => !isRunning(qemu), LIMIT_MS);
  });

  test("ends with its owner, also when its folder is gone", async () => {
    const owner = spawn("sleep", ["600"]);
    const { script, run, qemu } = await beginVm(owner.pid ?? 0);
    await until("its owner is watched", () => isAnyCalled(String(owner.pid), String(qemu)), LIMIT_MS);
    script.kill("SIGKILL");
    rmSync(run, { recursive: true, force: true });
    owner.kill("SIGKILL");
    await until("QEMU has ended", () => !isRunning(qemu), LIMIT_MS);
  });
});
