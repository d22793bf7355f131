import { expect, test } from "vitest";
import { outcomeOf, verbOf } from "../../../../src/workers/processes/command-words.js";

test.each([
  [["zfs", "list", "-Hp"], "zfs list"],
  [["sudo", "-n", "/usr/sbin/zfs", "destroy", "-r", "tank/list"], "zfs destroy"],
  [["ssh", "node", "zpool", "sync", "tank"], "zpool sync"],
  [["/usr/sbin/zpool", "list"], "zpool list"],
  [["lzc_create", "tank/destroy"], "lzc_create"],
  [["cat", "/proc/spl/kstat/zfs/tank/txgs"], "other"],
  [["zfs", "frobnicate", "tank"], "other"],
  [[], "other"],
])("the verb of %j is %s", (argv, verb) => {
  expect(verbOf(argv)).toBe(verb);
});

test.each([
  [{ kind: "exited", code: 0 }, "ok"],
  [{ kind: "exited", code: 1 }, "failed"],
  [{ kind: "signalled", signal: "SIGKILL" }, "signalled"],
  [{ kind: "timed_out", afterMs: 5 }, "timed_out"],
  [{ kind: "lost" }, "lost"],
  [{ kind: "returned", errno: 0, errors: {}, value: "" }, "ok"],
  [{ kind: "returned", errno: 0, errors: { "tank/a@s": 2 }, value: "" }, "failed"],
  [{ kind: "returned", errno: 16, errors: {}, value: "" }, "failed"],
  [{ kind: "unusable", why: "no library" }, "unusable"],
] as const)("an end as %j is %s", (exit, outcome) => {
  expect(outcomeOf({ exit })).toBe(outcome);
});
