import { expect, test } from "vitest";
import { fail, type Outcome, succeed } from "../../../../src/protocol/storage/failures.js";
import type { SnapshotName } from "../../../../src/protocol/storage/names.js";
import { createLateReleases } from "../../../../src/workers/actor/late-releases.js";
import type { HoldRecord } from "../../../../src/workers/actor/record-file.js";
import { createKeptLog } from "../../../support/memory-actor.js";
import { until } from "../../../support/until.js";

const hold = { name: "tank/v@s" as SnapshotName, tag: "imagestore:run-1" };
const failure = fail("command.timed_out", "slow");

/** Releases that answer in turn with `outcomes`; the last one is repeated. */
function start(...outcomes: (Outcome<null> | Error)[]) {
  const log = createKeptLog();
  const tried: HoldRecord[] = [];
  const late = createLateReleases({
    log,
    firstPauseMs: 1,
    release: async (each) => {
      const outcome = outcomes[Math.min(tried.push(each), outcomes.length) - 1];
      if (outcome instanceof Error) throw outcome;
      return outcome ?? succeed(null);
    },
  });
  return { late, log, tried };
}

test("a hold is tried again after failures and exceptions, until it is released", async () => {
  const { late, log, tried } = start(failure, new TypeError("a bug"), succeed(null));
  late.add(hold);
  await until("it is released", () => log.lines.at(-1)?.message === "a hold is released at last");
  expect(tried).toEqual([hold, hold, hold]);
  expect(log.lines.map(({ fields }) => fields.code)).toEqual(["command.timed_out", "internal", undefined]);
  late.end();
});

test("a hold that waits already is not tried twice as often, and none after the end", async () => {
  const { late, tried } = start(failure);
  late.add(hold);
  late.add(hold);
  late.add({ ...hold, tag: "imagestore:run-2" });
  await until("each was tried", () => tried.length >= 2);
  expect(tried.slice(0, 2).map(({ tag }) => tag)).toEqual(["imagestore:run-1", "imagestore:run-2"]);
  late.end();
  const before = tried.length;
  late.add(hold);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(tried.length).toBe(before);
});
