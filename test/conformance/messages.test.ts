import { beforeAll, expect, test } from "vitest";
import type { MethodName } from "./client.js";
import { conformance } from "./suite.js";

/** A mistake of an operator: what is called, what 1.0 says (clients compare it), and what 2.0 says. */
type Mistake = readonly [method: MethodName, params: object, old: string, current: string];

conformance("What an operator is told", "messages", ({ server, pool, own, target }) => {
  const v = `${own}/v`;
  const full = `${pool}/${v}`;
  const absent = `${own}/no-such`;
  const long = "x".repeat(250);

  beforeAll(async () => {
    await server.must("CreateVolume", { id: v, size: 8 });
    await server.must("CreateSnapshot", { id: v, dest: "s" });
  });

  const NEED_ID = "need an id (id: wanted the name of a dataset or snapshot)";
  const notFound = (name: string) => `not found: ${pool}/${name}`;
  const invalid = (name: string, why: string) =>
    `not a valid dataset: ${JSON.stringify(name)}: the name has ${why}`;
  const argument = (field: string, wanted: string) => `invalid argument (${field}: wanted ${wanted})`;
  const huge = 2 ** 43;

  const mistakes: readonly Mistake[] = [
    // What is not there is named in full.
    ["GetVolume", { id: absent }, "not found", notFound(absent)],
    ["GetSnapshot", { id: `${v}@no` }, "not found", notFound(`${v}@no`)],
    ["GetSnapshot", { id: absent }, "not found", notFound(absent)],
    ["DeleteSnapshot", { id: `${absent}@s` }, "not found", notFound(`${absent}@s`)],
    ["RollbackSnapshot", { id: `${v}@no` }, "not found", notFound(`${v}@no`)],
    ["DeleteDataset", { id: absent }, "not found", notFound(absent)],
    ["ListSnapshots", { id: absent }, "not found", notFound(absent)],
    ["CreateSnapshot", { id: absent, dest: "s" }, "not found", notFound(absent)],
    ["GetImage", { id: "no-such" }, "not found", "not found: image no-such"],
    ["DeleteImage", { id: "no-such" }, "not found", "not found: image no-such"],
    ["CloneImage", { id: "no-such", dest: `${own}/c` }, "not found", "not found: image no-such"],
    [
      "VerifyDisks",
      { guest: { id: "g", disks: [{ size: 1 }, { image: "no-such" }] } },
      "not found",
      "not found: image no-such",
    ],
    // What is missing from a request is named, with what is wanted there.
    ["GetVolume", {}, "need an id", NEED_ID],
    ["DeleteDataset", { id: "" }, "need an id", NEED_ID],
    ["GetSnapshot", {}, "need an id", NEED_ID],
    ["CreateSnapshot", { dest: "s" }, "need an id", NEED_ID],
    ["RequestImage", {}, "need id", "need id (id: wanted the id of an image)"],
    ["CloneImage", { id: "i" }, "need dest", "need dest (dest: wanted the name of the new volume)"],
    ["CreateVolume", { id: v }, "need a valid size", "need a valid size (size: wanted 1 MiB or more)"],
    [
      "CreateSnapshot",
      { id: v },
      "need a dest",
      "need a dest (dest: wanted the name of the snapshot behind its @)",
    ],
    ["VerifyDisks", {}, "invalid argument", argument("guest", "a guest")],
    ["VerifyDisks", { guest: {} }, "invalid argument", argument("guest.id", "the id of the guest")],
    [
      "CreateGuestDisks",
      { guest: { id: "g" } },
      "invalid argument",
      argument("guest.disks", "one disk or more"),
    ],
    [
      "VerifyDisks",
      { guest: { id: "g", disks: [{ size: 1 }, { bus: "ide" }] } },
      "invalid argument",
      argument("guest.disks[1]", "an image, or a size of 1 MiB or more"),
    ],
    ["DeleteGuestsDisks", {}, "invalid argument", argument("guest", "a guest")],
    // What is there already is compared.
    [
      "CreateVolume",
      { id: v, size: 16 },
      "dataset already exists",
      `dataset already exists: ${full} (size: found 8 MiB, wanted 16 MiB)`,
    ],
    ["CreateSnapshot", { id: v, dest: "s" }, "dataset already exists", `dataset already exists: ${full}@s`],
    // What has the wrong type is named.
    ["GetVolume", { id: own }, "not a volume", `not a volume: ${pool}/${own}`],
    ["GetSnapshot", { id: v }, "not a snapshot", `not a snapshot: ${full}`],
    ["RollbackSnapshot", { id: v }, "not a snapshot", `not a snapshot: ${full}`],
    [
      "CreateSnapshot",
      { id: `${v}@s`, dest: "t" },
      "cannot create a snapshot of a snapshot",
      `cannot create a snapshot of a snapshot: ${full}@s`,
    ],
    // Names are shown with what is wrong with them, and their limit.
    ["DeleteDataset", { id: "../x" }, "not a valid dataset", invalid("../x", 'the component ".."')],
    ["GetSnapshot", { id: "a@b@c" }, "not a valid dataset", invalid("a@b@c", 'more than one "@"')],
    ["GetSnapshot", { id: "a@" }, "not a valid dataset", invalid("a@", 'an empty component after "@"')],
    [
      "DeleteDataset",
      { id: `${long}/${long}` },
      "not a valid dataset",
      `not a valid dataset: "${"x".repeat(64)}…": the name has more than 255 bytes`,
    ],
    [
      "DeleteDataset",
      { id: "a/".repeat(60) },
      "not a valid dataset",
      `not a valid dataset: "${"a/".repeat(32)}…": the name has more than 49 slashes`,
    ],
    [
      "CreateSnapshot",
      { id: v, dest: "a b" },
      "invalid snapshot dest",
      `invalid snapshot dest: "a b" (dest: wanted letters, digits and -_.: only)`,
    ],
    [
      "RequestImage",
      { id: "a/b" },
      'invalid id: the name has a character outside zfs(8)\'s grammar in "a/b"',
      "",
    ],
    ["ListVolumes", { pool: "nope" }, 'no such pool is configured: "nope"', ""],
    [
      "DeleteDataset",
      { id: "images" },
      `${pool}/images can't be deleted: imagestore keeps its own data in it`,
      "",
    ],
    // Sizes have numbers.
    [
      "CreateVolume",
      { id: absent, size: huge },
      "no space left on device",
      `no space left on device (size: found ${huge} MiB, wanted at most ${huge - 1} MiB)`,
    ],
    // Sources of images say which setting allows them.
    [
      "RequestImage",
      { id: `${own}-i`, source: "http://elsewhere.example/x" },
      "source: elsewhere.example is not allowed, add it to imageSources of the configuration",
      `source: elsewhere.example is not allowed, add it to imageSources of the configuration: image ${own}-i`,
    ],
  ];

  test("the table has at least forty mistakes", () => {
    expect(mistakes.length).toBeGreaterThanOrEqual(40);
  });

  test.each(mistakes)("%s %j: %s", async (method, params, old, current) => {
    expect(await server.refusal(method, params)).toBe(old);
    expect((await server.failure(method, params)).message).toBe(current === "" ? old : current);
  });

  test("the data of 2.0 has the same parts as members", async () => {
    const exists = await server.failure("CreateVolume", { id: v, size: 16 });
    expect(exists.data).toEqual({
      reason: "dataset.exists",
      errno: "EEXIST",
      retryable: false,
      object: full,
      field: "size",
      found: "8 MiB",
      wanted: "16 MiB",
    });
    const missing = await server.failure("GetVolume", { id: absent });
    expect(missing.data).toEqual({
      reason: "dataset.not_found",
      errno: "ENOENT",
      retryable: false,
      object: `${pool}/${absent}`,
    });
  });

  test("a volume or disks over the free space are told with both numbers", async () => {
    const tebibyte = 1_048_576;
    const size = 1_000_000 * tebibyte;
    expect(await server.refusal("CreateVolume", { id: absent, size })).toBe("no space left on device");
    const volume = await server.failure("CreateVolume", { id: absent, size });
    expect(volume.message).toMatch(
      new RegExp(
        `^no space left on device: ${pool}/${absent} \\(size: found \\d+ MiB free in pool ${pool}, wanted ${size} MiB\\)$`,
      ),
    );
    const guest = { id: `${own}-g`, disks: [{ size }, { size: 1 }] };
    const disks = await server.failure("CreateGuestDisks", { guest });
    expect(disks.message).toMatch(
      new RegExp(
        `^no space left on device: guest ${own}-g \\(guest\\.disks: found \\d+ MiB free and not promised, wanted ${size + 1} MiB\\)$`,
      ),
    );
  });

  const unknown: readonly [MethodName, object, string][] = [
    ["CreateVolume", { id: absent, sise: 1 }, "VolumeRequest.sise: unknown member, did you mean size?"],
    ["GetVolume", { name: v }, "VolumeRequest.name: unknown member, known are id, size, pool"],
    [
      "DeleteSnapshot",
      { id: `${v}@s`, recusive: true },
      "SnapshotRequest.recusive: unknown member, did you mean recursive?",
    ],
    [
      "VerifyDisks",
      { guest: { id: "g", discs: [{ size: 1 }] } },
      "GuestRequest.guest.discs: unknown member, did you mean disks?",
    ],
    [
      "VerifyDisks",
      { guest: { id: "g", disks: [{ size: 1 }, { sice: 1 }] } },
      "GuestRequest.guest.disks[1].sice: unknown member, did you mean size?",
    ],
  ];

  test.each(unknown)("2.0 refuses a member that %s does not know: %j", async (method, params, message) => {
    const failure = await server.failure(method, params);
    expect([failure.code, failure.message, failure.data.reason]).toEqual([
      -32602,
      message,
      "request.malformed",
    ]);
    expect((await server.must("GetSnapshot", { id: `${v}@s` })).snapshots).toHaveLength(1);
  });

  test("1.0 ignores members that it does not know, as Go does", async () => {
    const { volumes } = await server.must("GetVolume", { id: v, sise: 1, guest: {} });
    expect(volumes).toHaveLength(1);
    expect(await server.refusal("CreateVolume", { id: absent, sise: 1 })).toBe("need a valid size");
  });

  test("names of 2.0 may be in any case, and metadata and nics have their own", async () => {
    const guest = { ID: "g", disks: [{ SIZE: 1 }], metadata: { anything: "x" }, nics: [{ mac: "m" }] };
    const body = JSON.stringify({
      jsonrpc: "2.0",
      method: "VerifyDisks",
      params: { guest, args: { a: "b" } },
      id: 1,
    });
    const reply = await server.send({ path: "/rpc", body, headers: { "Content-Type": "application/json" } });
    expect(JSON.parse(reply.text)).toMatchObject({ result: { guest: { id: "g" } } });
    expect(target.pools[0]).toBe(pool);
  });
});
