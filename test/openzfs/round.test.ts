import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { CLI } from "../support/daemon.js";
import { createPool, destroyPool, linkLibraries, type Vm } from "../support/vm.js";

const vm = inject("vm");
const POOL = "round";
const SCRIPT = fileURLToPath(new URL("./round.mjs", import.meta.url));

describe.skipIf("skip" in vm)("the whole round inside the VM", () => {
  const running = vm as Vm;
  beforeAll(() => {
    createPool(running, POOL, "/dev/vdf");
    // The daemon calls libzfs_core where it loads. Elsewhere it goes the round by commands.
    linkLibraries(running);
  });
  afterAll(() => {
    destroyPool(running, POOL);
  });

  test("volume, device, snapshot, curl, image, guest, rollback, deletion", () => {
    const { status, stdout, stderr } = spawnSync(running.exec, ["-H", process.execPath, SCRIPT, POOL, CLI], {
      env: { ...process.env, OPENZFS_VM_RUN: running.run },
      input: "",
      encoding: "utf8",
    });
    expect(stderr + stdout).toContain("round: complete");
    expect(status).toBe(0);
  }, 400_000);
});
