import { describe, expect, test } from "vitest";
import { admit, lacksRole, maySee } from "../../../../src/main/access/admission.js";
import type { Grant } from "../../../../src/protocol/access/roles.js";
import { readJson } from "../../../../src/protocol/json-rpc/json.js";
import { createMethodTable } from "../../../../src/protocol/json-rpc/methods/table.js";
import type { PoolName } from "../../../../src/protocol/storage/names.js";

const POOLS = ["tank", "dozer"] as PoolName[];
const methods = createMethodTable();

/** What becomes of a call that plans well. */
function admitted(grant: Grant, method: string, params: object) {
  const lookup = methods.find(method);
  const read = readJson(JSON.stringify(params));
  if (!("found" in lookup) || "problem" in read) throw new Error(method);
  const planned = lookup.found.plan(read.value, true, POOLS);
  if (!planned.ok) throw new Error(planned.failure.message);
  return admit(planned, grant);
}

const TEAM: Grant = { role: "operate", names: ["guests/team-a-*", "images/team-a-*"] };
const TANK: Grant = { role: "operate", pools: ["tank"] };
const guest = (id: string) => ({ guest: { id, disks: [{ image: "golden" }] } });

describe("a caller whose names are narrowed", () => {
  test.each([
    ["CreateVolume", { id: "guests/team-a-1/disk-0", size: 8 }],
    ["GetVolume", { id: "tank/guests/team-a-1/disk-0" }],
    ["ResizeVolume", { id: "guests/team-a-1/disk-0", size: 8 }],
    ["RenameVolume", { id: "guests/team-a-1/disk-0", dest: "guests/team-a-2/disk-0" }],
    ["DeleteDataset", { id: "guests/team-a-1" }],
    ["CloneImage", { id: "golden", dest: "guests/team-a-1/x" }],
    ["PromoteVolume", { id: "guests/team-a-1/x" }],
    ["CreateBookmark", { id: "guests/team-a-1/x@s", dest: "b" }],
    ["DeleteBookmark", { id: "guests/team-a-1/x#b" }],
    ["ListBookmarks", {}],
    ["SnapshotGuest", { id: "team-a-1", dest: "s" }],
    ["CloneSnapshot", { id: "guests/team-a-1/x@s", dest: "guests/team-a-2/x" }],
    ["GetImage", { id: "golden" }],
    ["ListImages", {}],
    ["RequestImage", { id: "team-a-golden" }],
    ["CreateSnapshot", { id: "guests/team-a-1", dest: "s", recursive: true }],
    ["ListSnapshots", { id: "guests/team-a-1" }],
    ["GetSnapshot", { id: "guests/team-a-1/disk-0@s" }],
    ["RollbackSnapshot", { id: "guests/team-a-1/disk-0@s" }],
    ["CreateGuestDisks", guest("team-a-1")],
    ["DeleteGuestsDisks", guest("team-a-1")],
    ["GetPool", {}],
  ])("may %s %j", (method, params) => expect(admitted(TEAM, method, params).ok).toBe(true));

  test.each([
    ["CreateVolume", { id: "guests/team-b-1/disk-0", size: 8 }, "tank/guests/team-b-1/disk-0"],
    ["GetVolume", { id: "tank" }, "tank"],
    ["ResizeVolume", { id: "guests/team-b/x", size: 8 }, "tank/guests/team-b/x"],
    ["RenameVolume", { id: "guests/team-a-1/x", dest: "guests/team-b/x" }, "tank/guests/team-b/x"],
    ["RenameVolume", { id: "guests/team-b/x", dest: "guests/team-a-1/x" }, "tank/guests/team-b/x"],
    ["DeleteDataset", { id: "guests/team-b" }, "tank/guests/team-b"],
    ["CloneImage", { id: "team-a-golden", dest: "guests/team-b/x" }, "tank/guests/team-b/x"],
    ["SnapshotGuest", { id: "team-b", dest: "s" }, "tank/guests/team-b"],
    ["CreateBookmark", { id: "guests/team-b/x@s", dest: "b" }, "tank/guests/team-b/x@s"],
    ["DeleteBookmark", { id: "guests/team-b/x#b" }, "tank/guests/team-b/x"],
    ["ListBookmarks", { id: "guests/team-b" }, "tank/guests/team-b"],
    ["PromoteVolume", { id: "guests/team-b/x" }, "tank/guests/team-b/x"],
    ["CloneSnapshot", { id: "guests/team-b/x@s", dest: "guests/team-a-2/x" }, "tank/guests/team-b/x@s"],
    ["CloneSnapshot", { id: "guests/team-a-1/x@s", dest: "guests/team-b/x" }, "tank/guests/team-b/x"],
    ["DeleteImage", { id: "golden" }, "tank/images/golden"],
    ["RequestImage", { id: "golden" }, "tank/images/golden"],
    ["CreateSnapshot", { id: "guests", dest: "s", recursive: true }, "tank/guests"],
    ["ListSnapshots", { id: "guests/team-b" }, "tank/guests/team-b"],
    ["GetSnapshot", { id: "guests/x@team-a-1" }, "tank/guests/x@team-a-1"],
    ["DeleteSnapshot", { id: "guests@s", recursive: true }, "tank/guests@s"],
    ["VerifyDisks", guest("team-b"), "tank/guests/team-b"],
    ["CreateGuestDisks", guest("team-b"), "tank/guests/team-b"],
    ["DeleteGuestsDisks", guest("team-b"), "tank/guests/team-b"],
  ])("may not %s %j", (method, params, object) => {
    const outcome = admitted(TEAM, method, params);
    expect(outcome).toMatchObject({ failure: { code: "access.denied", about: { object, field: "names" } } });
  });

  test.each([
    ["ListVolumes", {}],
    ["ListSnapshots", {}],
    ["ListSnapshots", { id: "guests" }],
    ["ListSnapshots", { id: "images" }],
    ["ListSnapshots", { limit: 2, after: "tank/a" }],
  ])("gets of %s %j what its names cover", (method, params) => {
    expect(admitted(TEAM, method, params)).toMatchObject({
      value: { operation: { op: method, names: TEAM.names } },
    });
  });
});

describe("a caller whose pools are narrowed", () => {
  test("may do in them what its role allows, and nothing in others", () => {
    expect(admitted(TANK, "ListVolumes", {}).ok).toBe(true);
    expect(admitted(TANK, "DeleteDataset", { id: "tank/x" }).ok).toBe(true);
    for (const params of [{ id: "dozer/x" }, { id: "x", pool: "dozer" }]) {
      expect(admitted(TANK, "DeleteDataset", params)).toMatchObject({
        failure: { code: "access.denied", about: { field: "pools", object: "dozer", wanted: "tank" } },
      });
    }
    expect(admitted(TANK, "ListVolumes", { pool: "dozer" }).ok).toBe(false);
  });

  test("is told of them by GetPool without a name, and not of others", () => {
    expect(admitted(TANK, "GetPool", {})).toMatchObject({ value: { pools: ["tank"] } });
    expect(admitted(TANK, "GetPool", { id: "dozer" })).toMatchObject({ failure: { code: "access.denied" } });
  });
});

/** They concern all guests of the node, and the last one tells what everybody did. */
const FOR_ADMINS: readonly string[] = [
  "DeleteImage",
  "RestoreImage",
  "PruneImages",
  "PruneBackups",
  "SetGuestQuota",
  "ListAudit",
];

test("every method says which role it needs, and those that change nothing need the least, but one", () => {
  for (const name of methods.names) {
    const lookup = methods.find(name);
    if (!("found" in lookup)) throw new Error(name);
    const { role } = lookup.found;
    const isRead = /^(List|Get|VerifyDisks|Wait)/.test(name);
    const expected = FOR_ADMINS.includes(name) ? "admin" : isRead ? "read" : "operate";
    expect([name, role]).toEqual([name, expected]);
  }
});

test("each role includes those before it", () => {
  const lacking = (needed: "read" | "operate" | "admin") =>
    (["read", "operate", "admin"] as const).filter((role) => lacksRole(needed, { role }) !== undefined);
  expect([lacking("read"), lacking("operate"), lacking("admin")]).toEqual([
    [],
    ["read"],
    ["read", "operate"],
  ]);
  expect(lacksRole("admin", { role: "read" })?.failure).toMatchObject({
    code: "access.denied",
    message: "not allowed: this needs the role admin",
  });
});

test("what a caller may know of is what its pools and names cover", () => {
  expect(maySee({ role: "read" }, "tank/a@s")).toBe(true);
  expect(maySee(TEAM, "dozer/guests/team-a-1/d@s")).toBe(true);
  expect(maySee(TEAM, "tank/guests/team-b/d@s")).toBe(false);
  expect(maySee(TEAM, "tank@s")).toBe(false);
  expect(maySee(TANK, "dozer/a@s")).toBe(false);
});
