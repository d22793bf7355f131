import { expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { jobOfCall, mayLast } from "../../../../src/main/jobs/lasting-calls.js";
import { DEFINITIONS } from "../../../../src/protocol/api/definitions.js";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import type { PoolName, SnapshotName } from "../../../../src/protocol/storage/names.js";
import { isChange } from "../../../../src/protocol/storage/operation-kinds.js";

const asker = { caller: ANYONE, client: { requestId: "r", peer: "192.0.2.1", onDisconnect: () => {} } };

test.each(createMethodTable().all.map((method) => [method.name, method] as const))(
  "%s: what can happen once is not safe to repeat, and every change can be asked for in the background",
  (name, method) => {
    const { effect, examples, repeatLoses } = DEFINITIONS[name] ?? {};
    const read = readJson(JSON.stringify({ ...examples?.[0].params, background: true }));
    if ("problem" in read) throw new Error(read.problem);
    const planned = method.plan(read.value, true, ["tank" as PoolName]);
    if (effect === "read") return expect(planned.ok).toBe(false);
    if (!planned.ok || !("pool" in planned.value)) return expect(name).toBe("CancelJob");
    expect(isChange(planned.value.operation.op)).toBe(true);
    expect(planned.value.terms).toEqual({ background: true, key: "" });
    const { repeatSafe } = jobOfCall(planned.value, asker, { listFetches: () => [], listStores: () => [] });
    expect(repeatSafe).toBe(effect !== "once" && repeatLoses === undefined);
  },
);

test("changes that may last are jobs, and reads and parts of methods never", () => {
  const lasting = Object.keys(DEFINITIONS).filter((name) => DEFINITIONS[name]?.mayLast);
  expect(lasting.filter((name) => DEFINITIONS[name]?.effect === "read")).toEqual([]);
  const pool = "tank" as PoolName;
  const name = "tank/v@s" as SnapshotName;
  expect(mayLast({ pool, operation: { op: "DeleteDataset", name } })).toBe(true);
  expect(mayLast({ pool, operation: { op: "GetPool" } })).toBe(false);
  expect(mayLast({ pool, operation: { op: "CloseSend", name, tag: "t" } })).toBe(false);
});
