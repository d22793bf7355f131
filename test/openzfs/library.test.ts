import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createPool, destroyPool, linkLibraries, type Vm } from "../support/vm.js";

const vm = inject("vm");
const POOL = "library";
const SCRIPT = fileURLToPath(new URL("./library.mjs", import.meta.url));
const COMPILED = fileURLToPath(new URL("../../compiled", import.meta.url));

describe.skipIf("skip" in vm)("the way by libzfs_core, inside the VM", () => {
  const running = vm as Vm;
  let missing: string | undefined;
  beforeAll(() => {
    createPool(running, POOL, "/dev/vdf");
    missing = linkLibraries(running);
  });
  afterAll(() => {
    destroyPool(running, POOL);
  });

  test("gives the answers, failures and properties that the commands give", (context) => {
    if (process.env.LIBRARY_WAY === "elsewhere") context.skip("another part of the check runs it");
    if (missing !== undefined) context.skip(missing);
    const { status, stdout, stderr } = spawnSync(
      running.exec,
      ["-H", process.execPath, SCRIPT, POOL, COMPILED],
      {
        env: { ...process.env, OPENZFS_VM_RUN: running.run },
        input: "",
        encoding: "utf8",
      },
    );
    expect(stderr + stdout).toContain("library: complete");
    expect(status).toBe(0);
  }, 1_200_000);
});
