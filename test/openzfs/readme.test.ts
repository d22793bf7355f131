import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type DaemonProcess, freePort, startDaemonProcess, vmPool } from "../support/daemon.js";
import { createPool, destroyPool, type Vm } from "../support/vm.js";

const vm = inject("vm");
const POOL = "readme";

/** The shell block below "Use it". */
function usage(): string {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const block = /## Use it[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)?.[1];
  if (!block) throw new Error("the README has no block of commands");
  return block;
}

describe.skipIf("skip" in vm)("the README's lines", () => {
  const running = vm as Vm;
  const folder = mkdtempSync(join(tmpdir(), "imagestore-readme-"));
  let daemon: DaemonProcess;
  let imagePort: number;

  beforeAll(async () => {
    createPool(running, POOL, "/dev/vdj");
    imagePort = await freePort();
    const pools = [vmPool(running, POOL)];
    const config = { listen: { port: 0 }, pools, imageService: `127.0.0.1:${imagePort}` };
    daemon = await startDaemonProcess(config, { OPENZFS_VM_RUN: running.run });
  });
  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    destroyPool(running, POOL);
    rmSync(folder, { recursive: true, force: true });
  });

  test("work when pasted", () => {
    const lines = usage()
      .replaceAll("127.0.0.1:19999", new URL(daemon.url).host)
      .replaceAll("19998", String(imagePort));
    const script = `set -e -o pipefail -m\n${lines}`;
    const { status, stdout, stderr } = spawnSync("bash", ["-c", script], { cwd: folder, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    const replies = stdout.split("\n").filter((line) => /^[{[]/.test(line));
    expect(replies.length).toBe(12);
    for (const reply of replies) expect(reply).toMatch(/"error":null|"jsonrpc":"2.0","result"|"ready":true/);
    expect(stdout).toContain("imagestore_calls_total");
    expect(readFileSync(join(folder, "golden.zfs"))).toEqual(
      readFileSync(join(folder, "images/golden/download")),
    );
  });
});
