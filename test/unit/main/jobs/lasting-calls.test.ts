import { expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { jobOfCall } from "../../../../src/main/jobs/lasting-calls.js";
import { DEFINITIONS } from "../../../../src/protocol/api/definitions.js";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";
import { isChange } from "../../../../src/protocol/storage/operation-kinds.js";

const asker = { caller: ANYONE, client: { requestId: "r", peer: "192.0.2.1", onDisconnect: () => {} } };

test.each(createMethodTable().all.map((method) => [method.name, method] as const))(
  "%s: what can happen once is not safe to repeat, and every change can be asked for in the background",
  (name, method) => {
    const { effect, examples } = DEFINITIONS[name] ?? {};
    const read = readJson(JSON.stringify({ ...examples?.[0].params, background: true }));
    if ("problem" in read) throw new Error(read.problem);
    const planned = method.plan(read.value, true, ["tank" as PoolName]);
    if (effect === "read") return expect(planned.ok).toBe(false);
    if (!planned.ok || !("pool" in planned.value)) return expect(name).toBe("CancelJob");
    expect(isChange(planned.value.operation.op)).toBe(true);
    expect(planned.value.terms).toEqual({ background: true, key: "" });
    const { repeatSafe } = jobOfCall(planned.value, asker, () => []);
    if (name !== "RollbackSnapshot") expect(repeatSafe).toBe(effect !== "once");
  },
);
