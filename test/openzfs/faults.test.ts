import { describe, expect, inject, test } from "vitest";
import { fullPoolFaults } from "../faults/full-pool.js";
import { createOpenZfsPool } from "../faults/openzfs-pool.js";
import { optionsFrom, runSuite } from "../faults/suite.js";
import type { Vm } from "../support/vm.js";

const vm = inject("vm");
const options = optionsFrom(process.env, 1);
/** A stopped runner is noticed when a command is late. */
const COMMAND_MS = options.campaign === "stop-runner" ? 8_000 : 30_000;
/** For what runs when the time is over. */
const SPARE_MS = 600_000;

describe.skipIf("skip" in vm)("faults on OpenZFS", () => {
  test(
    "no fault loses an acknowledged change, brings a deleted one back or leaves anything behind",
    async () => {
      const pool = createOpenZfsPool(vm as Vm, "faults", "/dev/vdl", COMMAND_MS);
      const wrong = await runSuite(pool, options, fullPoolFaults(vm as Vm, pool.name));
      expect(wrong.join("\n")).toBe("");
    },
    options.minutes * 60_000 + SPARE_MS,
  );
});
