import { expect, test } from "vitest";
import { admit } from "../../../../src/main/access/admission.js";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";

const pools = ["tank" as PoolName, "fast" as PoolName];
const grant = { role: "admin", pools: ["tank"], names: ["guests/mine"] } as const;

function asked(method: string, params: object) {
  const lookup = createMethodTable().find(method);
  const read = readJson(JSON.stringify(params));
  if (!("found" in lookup) || "problem" in read) throw new Error(method);
  const admitted = admit(lookup.found.plan(read.value, true, pools), grant);
  if (!admitted.ok) return admitted.failure.code;
  return "sight" in admitted.value.operation ? admitted.value.operation.sight : "admitted";
}

const sight = { names: grant.names, pools: grant.pools };

test.each([
  ["BackupSnapshot", { id: "guests/mine/d@s" }, "admitted"],
  ["BackupSnapshot", { id: "guests/other/d@s" }, "access.denied"],
  ["BackupSnapshot", { id: "fast/guests/mine/d@s" }, "access.denied"],
  ["RestoreBackup", { id: "1", dest: "guests/mine/new" }, sight],
  ["RestoreBackup", { id: "1", dest: "guests/new" }, "access.denied"],
  ["RestoreBackup", { id: "1", dest: "fast/guests/mine/new" }, "access.denied"],
  ["VerifyBackup", {}, sight],
  ["VerifyBackup", { pool: "fast" }, "access.denied"],
  ["PruneBackups", { keepLast: 1 }, sight],
  ["PruneBackups", { keepLast: 1, id: "guests/mine" }, sight],
  ["PruneBackups", { keepLast: 1, id: "guests/other" }, "access.denied"],
])("%s of %j with a narrowed grant: %j", (method, params, expected) => {
  expect(asked(method, { profile: "p", ...params })).toEqual(expected);
});
