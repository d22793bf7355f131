import { describe, expect, test } from "vitest";
import { progressText, type ShownJob } from "../../../../../src/main/commands/client/shown-job.js";

const MIB = 2 ** 20;
const job: ShownJob = {
  ...{ id: "j1", state: "running", phase: "receiving", bytes: 0, totalBytes: null },
  ...{ bytesPerSecond: null, etaSeconds: null, failure: null },
};

describe("the progress of a job", () => {
  test.each<[Partial<ShownJob>, string]>([
    [{}, "receiving"],
    [{ phase: null, state: "queued" }, "queued"],
    [{ bytes: 3 * MIB }, "3.0 MiB"],
    [
      { bytes: MIB, totalBytes: 4 * MIB, bytesPerSecond: MIB / 2, etaSeconds: 6 },
      "[=====               ] 25 %, 1.0 MiB of 4.0 MiB, 512.0 KiB/s, 6.0 s left",
    ],
    [{ bytes: 5, totalBytes: 4 }, "[====================] 100 %, 5 B of 4 B"],
    [{ phase: "\x1b[2Jwaiting" }, "?[2Jwaiting"],
  ])("of %j is %s", (known, text) => {
    expect(progressText({ ...job, ...known })).toBe(text);
  });
});
