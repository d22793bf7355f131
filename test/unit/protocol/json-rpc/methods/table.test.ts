import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readJson } from "../../../../../src/protocol/json-rpc/json.js";
import type { Method, Planned, Routed } from "../../../../../src/protocol/json-rpc/methods/method.js";
import { planDownload } from "../../../../../src/protocol/json-rpc/methods/snapshots.js";
import { createMethodTable } from "../../../../../src/protocol/json-rpc/methods/table.js";
import { failed, type Outcome, succeed } from "../../../../../src/protocol/storage/failures.js";
import type { PoolName } from "../../../../../src/protocol/storage/names.js";
import type { PoolRecord } from "../../../../../src/protocol/storage/records.js";
import { bytes } from "../../../../../src/protocol/storage/units.js";

const POOLS = ["tank", "fast"] as PoolName[];
const MIB = 1_048_576n;

const TABLE = [
  ["ListImages", []],
  ["GetImage", []],
  ["RequestImage", []],
  ["DeleteImage", []],
  ["PruneImages", []],
  ["RestoreImage", []],
  ["CloneImage", []],
  ["ListVolumes", []],
  ["CreateVolume", []],
  ["GetVolume", []],
  ["DeleteDataset", []],
  ["ResizeVolume", []],
  ["RenameVolume", []],
  ["PromoteVolume", []],
  ["CloneSnapshot", []],
  ["CopyVolume", []],
  ["SetVolume", []],
  ["GetVolumeProperties", []],
  ["ListSnapshots", ["ListSnapshot"]],
  ["GetSnapshot", []],
  ["CreateSnapshot", []],
  ["SnapshotGuest", []],
  ["DeleteSnapshot", []],
  ["RollbackSnapshot", []],
  ["CreateBookmark", []],
  ["ListBookmarks", []],
  ["DeleteBookmark", []],
  ["GetSendPlan", []],
  ["PullVolume", []],
  ["AbandonReceive", []],
  ["MigrateVolume", []],
  ["FinishMigration", []],
  ["FenceVolume", []],
  ["UnfenceVolume", []],
  ["VerifyDisks", []],
  ["CreateGuestDisks", []],
  ["DeleteGuestsDisks", ["DeleteGuestDisks"]],
  ["GetGuestQuota", []],
  ["SetGuestQuota", []],
  ["BackupSnapshot", []],
  ["ListBackups", []],
  ["VerifyBackup", []],
  ["RestoreBackup", []],
  ["PruneBackups", []],
  ["GetPool", []],
  ["ListJobs", []],
  ["GetJob", []],
  ["WaitJob", []],
  ["CancelJob", []],
  ["ListAudit", []],
  ["ListReplications", []],
] as const;

const methods = createMethodTable();

function methodOf(name: string): Method {
  const lookup = methods.find(name);
  if (!("found" in lookup)) throw new Error(`${name}: ${lookup.missing}`);
  return lookup.found;
}

/** Plans a call. `request` is the JSON text of its only parameter. */
function plan(name: string, request: string): Outcome<Planned> {
  const read = readJson(`[${request}]`);
  if ("problem" in read) throw new Error(read.problem);
  return methodOf(name).plan(read.value, false, POOLS);
}

function operation(name: string, request: string): Routed {
  const planned = plan(name, request);
  if (!planned.ok) throw new Error(`${name} ${request}: ${planned.failure.message}`);
  if (!("pool" in planned.value)) throw new Error(`${name} is not for one pool`);
  return planned.value;
}

describe("the size of a volume", () => {
  const largest = 2n ** 43n - 1n;
  const guest = (size: bigint) => `{"guest":{"id":"g","disks":[{"size":${size}}]}}`;

  test("may be 2^63 bytes less 1 MiB", () => {
    const size = bytes(largest * 2n ** 20n);
    const made = operation("CreateVolume", `{"id":"v","size":${largest}}`);
    expect(made.operation).toMatchObject({ op: "CreateVolume", size });
    for (const name of ["CreateGuestDisks", "VerifyDisks"]) {
      expect(operation(name, guest(largest)).operation).toMatchObject({ guest: { disks: [{ size }] } });
    }
  });

  test.each([largest + 1n, 2n ** 44n, 2n ** 63n, 2n ** 64n - 1n])(
    "may not be %d MiB, and the refusal names both",
    (size) => {
      const about = { found: `${size} MiB`, wanted: `at most ${largest} MiB` };
      const failure = { code: "pool.no_space", message: "no space left on device", about };
      expect(plan("CreateVolume", `{"id":"v","size":${size}}`)).toMatchObject({ failure });
      for (const name of ["CreateGuestDisks", "VerifyDisks"]) {
        expect(plan(name, guest(size))).toMatchObject({ failure });
      }
    },
  );
});

describe("changes of a volume", () => {
  test.each([
    ["ResizeVolume", '{"id":"v"}', "need a valid size"],
    ["ResizeVolume", '{"size":1}', "need an id"],
    ["ResizeVolume", '{"id":"v@s","size":1}', "not a volume"],
    ["RenameVolume", '{"id":"v"}', "need dest"],
    ["RenameVolume", '{"dest":"w"}', "need an id"],
    ["RenameVolume", '{"id":"v@s","dest":"w"}', "not a volume"],
    ["SetVolume", '{"id":"v"}', "need a property to set"],
    ["SetVolume", '{"id":"v","sync":"often"}', "sync: expected standard, always, disabled"],
    ["SetVolume", '{"id":"v","provisioning":"fat"}', "provisioning: expected thick or thin"],
    ["SetVolume", '{"id":"v","tags":{"a":"\\n"}}', "tags.a: expected at most 1024 printable characters"],
    ["ListVolumes", '{"tag":"=x"}', "tag: expected the name of a tag, or NAME=VALUE"],
    [
      "CreateVolume",
      '{"id":"v","size":1,"volblocksize":5000}',
      "volblocksize: expected a power of two from 4096 to 131072, in bytes",
    ],
    ["PromoteVolume", "{}", "need an id"],
    ["SnapshotGuest", '{"dest":"s"}', "need an id"],
    ["SnapshotGuest", '{"id":"g/disk-0","dest":"s"}', expect.stringMatching(/^invalid id: /)],
    ["PromoteVolume", '{"id":"v@s"}', "not a volume"],
    ["CloneSnapshot", '{"id":"v@s"}', "need dest"],
    [
      "CloneSnapshot",
      '{"id":"images/i@s","dest":"w"}',
      "tank/images/i@s is of an image: CloneImage makes volumes of it",
    ],
    ["RenameVolume", '{"id":"v","dest":"w@s"}', 'not a valid dataset: dest names a snapshot ("@")'],
    [
      "RenameVolume",
      '{"id":"v","dest":"fast/w"}',
      "not a valid dataset: the name is in pool fast, not in tank",
    ],
    ["RenameVolume", '{"id":"v","dest":"a/../w"}', 'not a valid dataset: the name has the component ".."'],
  ])("%s %s is refused: %s", (name, request, message) => {
    expect(plan(name, request)).toMatchObject({ failure: { message } });
  });

  test.each(["tank", "images", "guests", "images/golden", "images/golden/below"])(
    "%s is imagestore's own, and stays as it is",
    (id) => {
      for (const [name, request] of [
        ["ResizeVolume", { id, size: 1 }],
        ["RenameVolume", { id, dest: "w" }],
        ["RenameVolume", { id: "v", dest: id }],
        ["PromoteVolume", { id }],
        ["SetVolume", { id, readonly: true }],
        ["CloneSnapshot", { id: "v@s", dest: id }],
      ] as const) {
        expect(plan(name, JSON.stringify(request))).toMatchObject({ failure: { code: "dataset.protected" } });
      }
    },
  );
});

describe("a setting of a volume", () => {
  test.each(["on", "off", "lz4", "zstd", "zstd-1", "zstd-19", "gzip-9", "zstd-fast"])(
    "may be compression=%s",
    (compression) => {
      expect(plan("SetVolume", JSON.stringify({ id: "v", compression }))).toMatchObject({ ok: true });
    },
  );

  test.each(["zstd-20", "zstd-0", "gzip-0", "LZ4", "lz4 -o x=y", "lz4,off", "-"])(
    "may not be compression=%s",
    (compression) => {
      expect(plan("SetVolume", JSON.stringify({ id: "v", compression }))).toMatchObject({
        failure: {
          code: "request.invalid",
          message: expect.stringMatching(/^compression: expected on, off/),
        },
      });
    },
  );

  test.each(["", "A", "a:b", "-a", ".a", "a b", "a=b", "ä", "a".repeat(101), "__proto__"])(
    "is no tag with the name %j",
    (name) => {
      const request = `{"id":"v","size":1,"tags":{${JSON.stringify(name)}:"x"}}`;
      for (const method of ["SetVolume", "CreateVolume"]) {
        const asked = method === "SetVolume" ? request.replace('"size":1,', "") : request;
        expect(plan(method, asked)).toMatchObject({ failure: { code: "request.invalid" } });
      }
    },
  );

  test("is a tag of at most 1024 characters, and of 32 in a request", () => {
    const tags = (count: number, length: number) =>
      JSON.stringify({
        id: "v",
        tags: Object.fromEntries(Array.from({ length: count }, (_, at) => [`t${at}`, "x".repeat(length)])),
      });
    expect(plan("SetVolume", tags(32, 1024))).toMatchObject({ ok: true });
    expect(plan("SetVolume", tags(33, 1))).toMatchObject({ failure: { code: "request.invalid" } });
    expect(plan("SetVolume", tags(1, 1025))).toMatchObject({ failure: { code: "request.invalid" } });
  });
});

describe("the number of a guest's disks", () => {
  const withDisks = (count: number, text = '{"size":1}') =>
    `{"guest":{"id":"g","disks":[${Array(count).fill(text).join(",")}]}}`;

  test.each(["CreateGuestDisks", "VerifyDisks"])("is bounded by the setting in %s", (name) => {
    expect(plan(name, withDisks(64))).toMatchObject({ ok: true });
    for (const [count, text] of [
      [65, '{"size":1}'],
      [80_000, '{"image":"i"}'],
    ] as const) {
      const message = `invalid argument: a guest may have at most 64 disks (limits.disksPerGuest), got ${count}`;
      expect(plan(name, withDisks(count, text))).toMatchObject({
        failure: { code: "request.invalid", message },
      });
    }
    const lookup = createMethodTable({ disksPerGuest: 1 }).find(name);
    const read = readJson(`[${withDisks(2)}]`);
    if (!("found" in lookup) || "problem" in read) throw new Error("no such method");
    expect(lookup.found.plan(read.value, false, POOLS)).toMatchObject({
      failure: { message: expect.stringContaining("at most 1 disks (limits.disksPerGuest), got 2") },
    });
  });

  test("is not looked at when they are deleted", () => {
    expect(plan("DeleteGuestsDisks", withDisks(65))).toMatchObject({ ok: true });
  });
});

describe("names of methods", () => {
  test("there are exactly the seventeen of the contract, and ours", () => {
    expect([...methods.names].sort()).toEqual(TABLE.map(([name]) => name).sort());
  });

  test.each(TABLE)("%s is found by its full name, its plain name and its aliases %j", (name, aliases) => {
    for (const each of [name, ...aliases]) {
      expect(methodOf(each).name).toBe(name);
      expect(methodOf(`ImageStore.${each}`).name).toBe(name);
    }
  });

  test.each([
    ["", "ill-formed"],
    ["Nope", "ill-formed"],
    ["getimage", "ill-formed"],
    ["ImageStore.a.b", "ill-formed"],
    ["ImageStore", "ill-formed"],
    ["Nope.GetImage", "service"],
    [".GetImage", "service"],
    ["imagestore.GetImage", "service"],
    ["ImageStore.Nope", "method"],
    ["ImageStore.", "method"],
    ["ImageStore.getImage", "method"],
    ["ImageStore.constructor", "method"],
    ["__proto__", "ill-formed"],
  ])("%j is missing: %s", (name, missing) => {
    expect(methods.find(name)).toEqual({ missing });
  });
});

describe("requests that are refused before any process starts", () => {
  const INVALID = "invalid argument";
  test.each([
    ["RequestImage", "{}", "request.missing_field", "need id"],
    ["CloneImage", '{"id":"i"}', "request.missing_field", "need dest"],
    ["CreateVolume", '{"id":"v"}', "request.missing_field", "need a valid size"],
    ["CreateVolume", '{"id":"v","size":0}', "request.missing_field", "need a valid size"],
    ["CreateVolume", '{"size":1}', "request.missing_field", "need an id"],
    ["GetVolume", "{}", "request.missing_field", "need an id"],
    ["GetVolume", '{"id":"v@s"}', "dataset.wrong_type", "not a volume"],
    ["DeleteDataset", "{}", "request.missing_field", "need an id"],
    ["DeleteDataset", '{"id":"../x"}', "name.invalid", "not a valid dataset"],
    ["GetSnapshot", "{}", "request.missing_field", "need an id"],
    ["GetSnapshot", '{"id":"v@a@b"}', "name.invalid", "not a valid dataset"],
    ["CreateSnapshot", '{"dest":"s"}', "request.missing_field", "need an id"],
    ["DeleteSnapshot", "{}", "request.missing_field", "need an id"],
    ["RollbackSnapshot", "{}", "request.missing_field", "need an id"],
    ["VerifyDisks", "{}", "request.invalid", INVALID],
    ["VerifyDisks", '{"guest":null}', "request.invalid", INVALID],
    ["VerifyDisks", '{"guest":{"disks":[{"size":1}]}}', "request.invalid", INVALID],
    ["VerifyDisks", '{"guest":{"id":"g"}}', "request.invalid", INVALID],
    ["VerifyDisks", '{"guest":{"id":"g","disks":[]}}', "request.invalid", INVALID],
    ["VerifyDisks", '{"guest":{"id":"g","disks":[{"size":1},{}]}}', "request.invalid", INVALID],
    ["CreateGuestDisks", "{}", "request.invalid", INVALID],
    ["CreateGuestDisks", '{"guest":{"id":"g","disks":[{}]}}', "request.invalid", INVALID],
    ["DeleteGuestsDisks", "{}", "request.invalid", INVALID],
    ["DeleteGuestsDisks", '{"guest":{}}', "request.invalid", INVALID],
  ])("%s %s fails with %s: %s", (name, request, code, message) => {
    expect(plan(name, request)).toMatchObject({ ok: false, failure: { code, message } });
  });

  test.each([
    ["RequestImage", '{"id":"../x"}', "name.invalid"],
    ["RequestImage", '{"id":"i","origin":"i"}', "request.invalid"],
    ["RequestImage", '{"id":"i","origin":"tank/images/i@s"}', "request.invalid"],
    ["RequestImage", '{"id":"i","origin":"fast/images/j"}', "name.invalid"],
    ["RequestImage", '{"id":"i","origin":"guests/j"}', "request.invalid"],
    ["RequestImage", '{"id":"i","origin":"images/j/k"}', "request.invalid"],
    ["RequestImage", '{"id":"i","origin":"j@a@b"}', "name.invalid"],
    ["RequestImage", '{"id":"i","origin":"j@"}', "name.invalid"],
    ["RequestImage", '{"id":"i","origin":".partial-j"}', "name.invalid"],
    ["RequestImage", '{"id":"i","origin":7}', "request.malformed"],
    ["RequestImage", '{"id":"i","digest":"sha256:12"}', "request.invalid"],
    ["RequestImage", `{"id":"i","digest":"sha512:${"1".repeat(64)}"}`, "request.invalid"],
    ["RequestImage", `{"id":"i","digest":"sha256:${"g".repeat(64)}"}`, "request.invalid"],
    ["RequestImage", '{"id":"i","size":9007199254740992}', "request.invalid"],
    ["RequestImage", '{"id":"i","source":"u","sources":["v"]}', "request.invalid"],
    ["RequestImage", '{"id":"i","sources":["v",""]}', "request.invalid"],
    ["RequestImage", `{"id":"i","sources":["v","${"u".repeat(1_025)}"]}`, "request.invalid"],
    ["RequestImage", `{"id":"i","sources":[${Array(17).fill('"u"').join(",")}]}`, "request.invalid"],
    ["RequestImage", '{"id":".partial-x"}', "name.invalid"],
    ["CloneImage", '{"id":"i","dest":"x@s"}', "name.invalid"],
    ["CloneImage", '{"id":"i","dest":"../x"}', "name.invalid"],
    ["CloneImage", '{"id":"i","pool":"tank","dest":"fast/x"}', "name.invalid"],
    ["CreateVolume", '{"id":"v@s","size":1}', "name.invalid"],
    ["CreateVolume", '{"id":"v","size":8796093022208}', "pool.no_space"],
    ["CreateVolume", '{"id":"v","size":18446744073709551615}', "pool.no_space"],
    ["CreateVolume", '{"id":"v","size":18446744073709551616}', "request.malformed"],
    ["GetVolume", '{"id":"x/.."}', "name.invalid"],
    ["ListSnapshots", '{"id":"x\\u0000"}', "name.invalid"],
    ["CreateGuestDisks", '{"guest":{"id":"a/b","disks":[{"size":1}]}}', "name.invalid"],
    ["DeleteGuestsDisks", '{"guest":{"id":".."}}', "name.invalid"],
    ["DeleteGuestsDisks", '{"guest":{"id":"a/b"}}', "name.invalid"],
    ["VerifyDisks", '{"guest":{"id":"a@b","disks":[{"size":1}]}}', "name.invalid"],
    ["GetVolume", '{"id":"v","pool":"nope"}', "pool.not_found"],
    ["ListImages", '{"pool":"nope"}', "pool.not_found"],
    ["DeleteGuestsDisks", '{"guest":{"id":"g"},"pool":"nope"}', "pool.not_found"],
    ["GetVolume", '{"id":"fast/v","pool":"tank"}', "name.invalid"],
  ])("%s %s fails with %s", (name, request, code) => {
    expect(plan(name, request)).toMatchObject({ ok: false, failure: { code } });
  });

  test.each([
    ["GetSnapshot", '{"id":"v"}', "tank/v", failed.notSnapshot],
    ["DeleteSnapshot", '{"id":"v","recursive":true}', "tank/v", failed.notSnapshot],
    ["RollbackSnapshot", '{"id":"fast/v"}', "fast/v", failed.notSnapshot],
    ["CreateSnapshot", '{"id":"v"}', "tank/v", failed.needSnapshotDest],
    ["CreateSnapshot", '{"id":"v@s"}', "tank/v@s", failed.needSnapshotDest],
    ["CreateSnapshot", '{"id":"v","dest":"a/b"}', "tank/v", failed.invalidSnapshotDest],
    ["CreateSnapshot", '{"id":"v","dest":"a b"}', "tank/v", failed.invalidSnapshotDest],
    ["CreateSnapshot", '{"id":"v@s","dest":"s"}', "tank/v@s", failed.snapshotOfSnapshot],
  ])("%s %s is refused once %s is known to exist", (name, request, dataset, { failure }) => {
    const { code, message } = failure;
    expect(operation(name, request).operation).toMatchObject({
      op: "Refuse",
      name: dataset,
      failure: { code, message },
    });
  });

  test.each(["tank", "images", "guests", "tank/images", "/images//", "/", ".", "fast", "fast/guests"])(
    "DeleteDataset refuses %s, in which we keep our own",
    (id) => {
      expect(plan("DeleteDataset", JSON.stringify({ id }))).toMatchObject({
        ok: false,
        failure: { code: "dataset.protected" },
      });
    },
  );
});

describe("requests that are planned", () => {
  test.each([
    ["ListImages", '{"type":"kvm"}', "tank", { op: "ListImages", type: "kvm" }],
    ["GetImage", "{}", "tank", { op: "GetImage", id: "" }],
    ["GetImage", '{"id":"i","pool":"fast"}', "fast", { op: "GetImage", id: "i" }],
    [
      "RequestImage",
      '{"id":"i","type":"kvm","source":"u"}',
      "tank",
      { op: "RequestImage", id: "i", type: "kvm", source: "u" },
    ],
    [
      "RequestImage",
      `{"id":"i","digest":"sha256:${"0aF".repeat(21)}0","size":17}`,
      "tank",
      { op: "RequestImage", id: "i", type: "", source: "", digest: `${"0af".repeat(21)}0`, size: 17 },
    ],
    [
      "RequestImage",
      '{"id":"i","sources":["u","v"]}',
      "tank",
      { op: "RequestImage", id: "i", type: "", source: "", sources: ["u", "v"] },
    ],
    [
      "RequestImage",
      `{"id":"i","digest":"${"7".repeat(64)}","size":0}`,
      "tank",
      { op: "RequestImage", id: "i", type: "", source: "", digest: "7".repeat(64) },
    ],
    [
      "RequestImage",
      '{"id":"i","origin":"j"}',
      "tank",
      { op: "RequestImage", id: "i", type: "", source: "", origin: { image: "j" } },
    ],
    ...["j@s 1", "images/j@s 1", "fast/images/j@s 1"].map(
      (origin) =>
        [
          "RequestImage",
          `{"id":"i","pool":"fast","origin":"${origin}"}`,
          "fast",
          {
            ...{ op: "RequestImage", id: "i", type: "", source: "" },
            origin: { image: "j", snapshot: "fast/images/j@s 1" },
          },
        ] as [string, string, string, object],
    ),
    ["DeleteImage", '{"id":"i"}', "tank", { op: "DeleteImage", id: "i" }],
    ["DeleteImage", '{"id":"i","whenInUse":"refuse"}', "tank", { op: "DeleteImage", id: "i" }],
    [
      "DeleteImage",
      '{"id":"i","whenInUse":"trash","dryRun":true}',
      "tank",
      { op: "DryRun", of: { op: "DeleteImage", id: "i", whenInUse: "trash" } },
    ],
    [
      "PruneImages",
      '{"unusedForSeconds":5,"type":"t"}',
      "tank",
      { op: "PruneImages", olderThanSeconds: 0, unusedForSeconds: 5, type: "t" },
    ],
    [
      "CloneImage",
      '{"id":"i","dest":"tank/guests/g/x"}',
      "tank",
      { op: "CloneImage", id: "i", target: "tank/guests/g/x" },
    ],
    [
      "CloneImage",
      '{"id":"i","dest":"guests/g/x"}',
      "tank",
      { op: "CloneImage", id: "i", target: "tank/guests/g/x" },
    ],
    ["ListVolumes", "{}", "tank", { op: "ListVolumes" }],
    ["ListVolumes", '{"pool":"fast"}', "fast", { op: "ListVolumes" }],
    ["CreateVolume", '{"id":"v","size":10}', "tank", { op: "CreateVolume", name: "tank/v", size: 10n * MIB }],
    [
      "CreateVolume",
      '{"id":"v","size":8796093022207}',
      "tank",
      { op: "CreateVolume", name: "tank/v", size: 8_796_093_022_207n * MIB },
    ],
    ["GetVolume", '{"id":"fast/v"}', "fast", { op: "GetVolume", name: "fast/v" }],
    ["GetVolume", '{"id":"v","pool":"fast"}', "fast", { op: "GetVolume", name: "fast/v" }],
    ["DeleteDataset", '{"id":"guests/g"}', "tank", { op: "DeleteDataset", name: "tank/guests/g" }],
    ["DeleteDataset", '{"id":"images@s"}', "tank", { op: "DeleteDataset", name: "tank/images@s" }],
    ["ListSnapshots", "{}", "tank", { op: "ListSnapshots", root: "tank" }],
    ["ListSnapshots", '{"id":"v"}', "tank", { op: "ListSnapshots", root: "tank/v" }],
    ["ListSnapshots", '{"id":"v@s"}', "tank", { op: "ListSnapshots", root: "tank/v@s" }],
    ["GetVolume", '{"id":"/a//b/"}', "tank", { op: "GetVolume", name: "tank/a/b" }],
    ["GetSnapshot", '{"id":"v@s"}', "tank", { op: "GetSnapshot", name: "tank/v@s" }],
    [
      "CreateSnapshot",
      '{"id":"v","dest":"s","recursive":true}',
      "tank",
      { op: "CreateSnapshot", dataset: "tank/v", snapshot: "tank/v@s", recursive: true },
    ],
    [
      "ResizeVolume",
      '{"id":"v","size":3}',
      "tank",
      { op: "ResizeVolume", name: "tank/v", size: 3n * MIB, allowDataLoss: false },
    ],
    [
      "RenameVolume",
      '{"id":"fast/v","dest":"a/b"}',
      "fast",
      { op: "RenameVolume", name: "fast/v", target: "fast/a/b" },
    ],
    [
      "SetVolume",
      '{"id":"v","sync":"always","readonly":false,"provisioning":"thin","tags":{"a":"b","gone":null}}',
      "tank",
      {
        op: "SetVolume",
        name: "tank/v",
        changes: { sync: "always", readonly: false, isThick: false, tags: { a: "b", gone: "" } },
      },
    ],
    [
      "CreateVolume",
      '{"id":"v","size":1,"volblocksize":8192,"provisioning":"thick"}',
      "tank",
      { op: "CreateVolume", name: "tank/v", size: MIB, settings: { volblocksize: 8192, isThick: true } },
    ],
    ["ListVolumes", '{"tag":"a=b=c"}', "tank", { op: "ListVolumes", tag: { name: "a", value: "b=c" } }],
    ["ListVolumes", '{"tag":"a","limit":2}', "tank", { op: "ListVolumes", limit: 2, tag: { name: "a" } }],
    [
      "SnapshotGuest",
      '{"id":"g","dest":"s","pool":"fast"}',
      "fast",
      { op: "SnapshotGuest", dataset: "fast/guests/g", snapshot: "fast/guests/g@s" },
    ],
    [
      "CreateBookmark",
      '{"id":"v@s","dest":"b"}',
      "tank",
      { op: "CreateBookmark", snapshot: "tank/v@s", name: "tank/v#b" },
    ],
    [
      "DeleteBookmark",
      '{"id":"fast/v#b"}',
      "fast",
      { op: "DeleteBookmark", dataset: "fast/v", name: "fast/v#b" },
    ],
    ["ListBookmarks", '{"pool":"fast"}', "fast", { op: "ListBookmarks", root: "fast" }],
    ["PromoteVolume", '{"id":"v"}', "tank", { op: "PromoteVolume", name: "tank/v" }],
    [
      "CloneSnapshot",
      '{"id":"fast/v@s","dest":"w"}',
      "fast",
      { op: "CloneSnapshot", name: "fast/v@s", target: "fast/w" },
    ],
    [
      "CloneSnapshot",
      '{"id":"v","dest":"w"}',
      "tank",
      { op: "Refuse", name: "tank/v", failure: failed.notSnapshot.failure },
    ],
    ["DeleteSnapshot", '{"id":"v@s"}', "tank", { op: "DeleteSnapshot", name: "tank/v@s", recursive: false }],
    [
      "RollbackSnapshot",
      '{"id":"v@s","destroyMoreRecent":true}',
      "tank",
      { op: "RollbackSnapshot", name: "tank/v@s", destroyMoreRecent: true },
    ],
    [
      "DeleteGuestsDisks",
      '{"guest":{"id":"g"}}',
      "tank",
      { op: "DeleteGuestsDisks", guest: { id: "g", disks: [], rest: {} } },
    ],
  ])("%s %s goes to %s as the operation of its name", (name, request, pool, expected) => {
    expect(operation(name, request)).toEqual({ pool, operation: expected });
  });

  test("a guest keeps the members we don't use, as Go would write them", () => {
    const { operation: planned } = operation(
      "CreateGuestDisks",
      '{"guest":{"id":"g","memory": 18446744073709551615,"nics":[ {"a":1.0,"mac":"m"} ],"cpu":0,"metadata":{"k":"v w"},"disks":[{"bus":"b","size":3,"image":"i"}]}}',
    );
    expect(planned).toEqual({
      op: "CreateGuestDisks",
      guest: {
        id: "g",
        // The size of this disk will be that of its image.
        disks: [{ bus: "b", device: "", size: 0n, volume: "", image: "i", source: "" }],
        rest: {
          memory: "18446744073709551615",
          nics: '[{"network":"","model":"","mac":"m","address":"","netmask":"","gateway":"","vlans":null}]',
          metadata: '{"k":"v w"}',
        },
      },
    });
  });

  test("no plan of any request names anything outside its pool", () => {
    const word = fc.oneof(
      fc.constantFrom("..", "tank", "fast", "other", "-r", "images", "a@b", "a/b", "", "/", "x"),
      fc.string({ maxLength: 8 }),
    );
    const text = fc.array(word, { maxLength: 4 }).map((parts) => parts.join("/"));
    fc.assert(
      fc.property(
        fc.constantFrom(...methods.names),
        text,
        text,
        fc.constantFrom("", "tank", "fast"),
        (name, id, dest, pool) => {
          const planned = plan(
            name,
            JSON.stringify({ id, dest, pool, size: 1, guest: { id, disks: [{ size: 1 }] } }),
          );
          if (!planned.ok) return;
          if ("pools" in planned.value) {
            for (const each of planned.value.pools) expect(POOLS).toContain(each);
            return;
          }
          if ("onNode" in planned.value) return;
          const { operation: op } = planned.value;
          if (pool !== "") expect(planned.value.pool).toBe(pool);
          for (const key of ["name", "dataset", "snapshot", "root", "target"]) {
            const value: unknown = Reflect.get(op, key);
            if (typeof value !== "string") continue;
            const [first, ...others] = value.split(/[/@]/);
            expect(first).toBe(planned.value.pool);
            expect(others.filter((part) => part === "" || part === "." || part === "..")).toEqual([]);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe("answers, byte for byte", () => {
  const encode = (name: string, answer: unknown) => methodOf(name).encode(answer, Number.POSITIVE_INFINITY);
  const complete = {
    id: "i",
    type: "kvm",
    volume: "tank/images/i",
    snapshot: "tank/images/i@s",
    size: bytes(10n * MIB),
    status: "complete",
  };

  test("an empty list of images is null, of volumes and snapshots []", () => {
    expect(encode("ListImages", [])).toBe('{"images":null}');
    expect(encode("ListVolumes", [])).toBe('{"volumes":[]}');
    expect(encode("ListSnapshots", [])).toBe('{"snapshots":[]}');
    expect(encode("CreateSnapshot", [])).toBe('{"snapshots":[]}');
  });

  test("an image has its members in order", () => {
    const text =
      '{"images":[{"id":"i","type":"kvm","volume":"tank/images/i","snapshot":"tank/images/i@s","size":10,"status":"complete"}]}';
    for (const name of ["GetImage", "RequestImage", "DeleteImage"]) expect(encode(name, complete)).toBe(text);
    expect(encode("ListImages", [complete])).toBe(text);
  });

  test("an image under way has neither volume nor snapshot", () => {
    expect(encode("GetImage", { id: "<i>", type: "", size: bytes(0), status: "pending" })).toBe(
      '{"images":[{"id":"\\u003ci\\u003e","type":"","size":0,"status":"pending"}]}',
    );
  });

  test("volumes have id, size in whole MiB and device", () => {
    const volume = { name: "tank/v", size: bytes(3n * MIB - 1n), device: "/dev/zvol/tank/v" };
    const text = '{"volumes":[{"id":"tank/v","size":2,"device":"/dev/zvol/tank/v"}]}';
    for (const name of ["CreateVolume", "GetVolume", "DeleteDataset", "CloneImage"]) {
      expect(encode(name, volume)).toBe(text);
    }
    expect(encode("ListVolumes", [volume, volume])).toBe(
      `{"volumes":[${Array(2).fill('{"id":"tank/v","size":2,"device":"/dev/zvol/tank/v"}').join(",")}]}`,
    );
  });

  test("a volume has its properties only where they are asked for, its tags in order", () => {
    const settings = {
      compression: "lz4",
      sync: "standard",
      readonly: true,
      isThick: false,
      volblocksize: 8192,
      tags: { a: '"', b: "x" },
    };
    const volume = { name: "v", size: bytes(MIB), device: "d", settings };
    const properties =
      '{"compression":"lz4","sync":"standard","readonly":true,"provisioning":"thin","volblocksize":8192,"tags":{"a":"\\"","b":"x"}}';
    for (const name of ["SetVolume", "GetVolumeProperties"]) {
      expect(encode(name, volume)).toBe(
        `{"volumes":[{"id":"v","size":1,"device":"d","properties":${properties}}]}`,
      );
    }
  });

  test("a size beyond what a double holds keeps its last digit", () => {
    const volume = { name: "v", size: bytes((2n ** 64n - 1n) * MIB), device: "d" };
    expect(encode("GetVolume", volume)).toBe(
      '{"volumes":[{"id":"v","size":18446744073709551615,"device":"d"}]}',
    );
  });

  test("snapshots have id and size", () => {
    const snapshot = { name: "tank/v@s", written: bytes(5n * MIB) };
    expect(encode("GetSnapshot", snapshot)).toBe('{"snapshots":[{"id":"tank/v@s","size":5}]}');
    const bookmark = { name: "tank/v#b", guid: "18446744073709551615", created: 1_795_955_155 };
    const text = '{"id":"tank/v#b","guid":"18446744073709551615","created":"2026-11-29T12:25:55.000Z"}';
    for (const name of ["CreateBookmark", "DeleteBookmark"]) {
      expect(encode(name, bookmark)).toBe(`{"bookmarks":[${text}]}`);
    }
    expect(encode("ListBookmarks", [])).toBe('{"bookmarks":[]}');
    expect(encode("RollbackSnapshot", snapshot)).toBe('{"snapshots":[{"id":"tank/v@s","size":5}]}');
    expect(encode("DeleteSnapshot", [snapshot])).toBe('{"snapshots":[{"id":"tank/v@s","size":5}]}');
  });

  const disk = { bus: "", device: "", size: bytes(MIB), volume: "v", image: "", source: "s" };
  const diskText = '{"bus":"","device":"","size":1,"volume":"v","image":"","source":"s"}';

  test("a guest has its members in the wire's order, whatever order they came in", () => {
    const rest = {
      metadata: '{"a":1}',
      vnc: "5900",
      cpu: "1",
      memory: "2",
      state: '"up"',
      nics: "[{}]",
      image: '"i"',
      type: '"kvm"',
    };
    expect(encode("CreateGuestDisks", { id: "g", disks: [disk], rest })).toBe(
      `{"guest":{"id":"g","type":"kvm","image":"i","nics":[{}],"disks":[${diskText}],"state":"up","memory":2,"cpu":1,"vnc":5900,"metadata":{"a":1}}}`,
    );
  });

  test("empty members of a guest are omitted, but the disks of a deleted one are []", () => {
    const bare = { id: "g", disks: [], rest: {} };
    expect(encode("VerifyDisks", bare)).toBe('{"guest":{"id":"g"}}');
    expect(encode("DeleteGuestsDisks", bare)).toBe('{"guest":{"id":"g","disks":[]}}');
  });

  test("a guest that was read and is written again says the same", () => {
    const text = `{"guest":{"id":"g","nics":[{"name":"n","network":"","model":"","address":"","netmask":"","gateway":"","device":"d","vlans":[-1]}],"disks":[${diskText}],"memory":9007199254740993}}`;
    const { operation: planned } = operation("VerifyDisks", text);
    if (planned.op !== "VerifyDisks") throw new Error(planned.op);
    expect(encode("VerifyDisks", planned.guest)).toBe(text);
  });
});

describe("GetPool", () => {
  test.each([
    ["{}", ["tank", "fast"]],
    ['{"id":""}', ["tank", "fast"]],
    ['{"id":"fast"}', ["fast"]],
    ['{"pool":"tank"}', ["tank"]],
    ['{"id":"tank","pool":"tank"}', ["tank"]],
  ])("of %s asks the pools %j", (request, pools) => {
    expect(plan("GetPool", request)).toEqual(succeed({ pools, operation: { op: "GetPool" } }));
  });

  test.each([
    ['{"id":"other"}', "pool.not_found", 'no such pool is configured: "other"'],
    ['{"id":"tank/x"}', "pool.not_found", 'no such pool is configured: "tank/x"'],
    ['{"id":"tank","pool":"fast"}', "request.invalid", "id and pool name two pools: tank and fast"],
    ['{"id":7}', "request.malformed", "PoolRequest.id: expected string, got 7"],
  ])("of %s is refused: %s", (request, code, message) => {
    expect(plan("GetPool", request)).toMatchObject({ ok: false, failure: { code, message } });
  });

  test("is written in the contract's order, in whole MiB, a fragmentation that is unknown as null", () => {
    const tank: PoolRecord = {
      name: "tank" as PoolName,
      driver: "openzfs",
      size: bytes(10n * MIB),
      allocated: bytes(3n * MIB + 5n),
      free: bytes(7n * MIB - 5n),
      available: bytes(5n * MIB),
      promised: bytes(2n ** 63n),
      health: "ONLINE",
      fragmentation: 12,
    };
    const fast: PoolRecord = { ...tank, name: "fast" as PoolName, fragmentation: undefined };
    expect(methodOf("GetPool").encode([tank, fast], Number.POSITIVE_INFINITY)).toBe(
      '{"pools":[{"name":"tank","driver":"openzfs","size":10,"allocated":3,"free":6,"available":5,"promised":8796093022208,"health":"ONLINE","fragmentation":12},' +
        '{"name":"fast","driver":"openzfs","size":10,"allocated":3,"free":6,"available":5,"promised":8796093022208,"health":"ONLINE","fragmentation":null}]}',
    );
  });
});

describe("downloads", () => {
  const download = (body: string) => planDownload({ body }, POOLS);

  test("a snapshot is opened for sending", () => {
    expect(download('{"id":"v@s"}')).toEqual(
      succeed({ pool: "tank", operation: { op: "OpenSend", name: "tank/v@s" } }),
    );
  });

  test("a name that is no snapshot's is refused once it is known to exist", () => {
    const operation = { op: "Refuse", name: "tank/v", failure: failed.notSnapshot.failure };
    expect(download('{"id":"v"}')).toEqual(succeed({ pool: "tank", operation }));
  });

  test.each([
    ["{}", "need an id"],
    ["null", "need an id"],
    ['{"id":"v@"}', "not a valid dataset"],
  ])("%s is refused: %s", (text, message) => {
    expect(download(text)).toMatchObject({ ok: false, failure: { message } });
  });
});
