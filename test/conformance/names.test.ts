import { beforeAll, expect, test } from "vitest";
import type { MethodName } from "./client.js";
import { conformance } from "./suite.js";

conformance("Names and pools", "names", ({ server, pool, otherPool, own, deviceOf }) => {
  beforeAll(async () => {
    await Promise.all([
      server.must("CreateVolume", { id: `${own}/v`, size: 1 }),
      server.must("CreateVolume", { id: `${own}/v`, size: 2, pool: otherPool }),
    ]);
  });

  const untouched = async () => {
    const both = await Promise.all(
      [pool, otherPool].map((name) => server.must("GetVolume", { id: `${own}/v`, pool: name })),
    );
    expect(both.map(({ volumes }) => volumes[0]?.size)).toEqual([1, 2]);
  };

  test("no method takes a name outside the grammar, and nothing comes of it", async () => {
    const names = [
      "..",
      `../${otherPool}/x`,
      `${own}/../${own}/v`,
      "/..",
      `/${own}//../v`,
      "a\u0000b",
      "a\nb",
      "a\tb",
      "a\u007fb",
      "-o x=y",
      "a=b",
      "a%b",
      "%recv",
      "a#b",
      "a,b",
      "a'b",
      'a"b',
      "a$(id)b",
      "a`id`b",
      "a\\b",
      "a;b",
      "a*b",
      "größe",
      "ａ",
      "\u202ea",
      "a\ud800b",
      `${own}/v@@s`,
      `${own}/v@a@b`,
      `${own}@s/v`,
      `@${own}`,
      `/@${own}`,
      `${own}/v/@s`,
      "images/.partial-x",
      "/images//./.partial-x/",
      `${pool}/images/.partial-x`,
      "images/.hidden/v",
      "images/.partial-x@s",
      "x".repeat(256),
      `${own}/${"x".repeat(255)}`,
      `${own}/v@${"x".repeat(255)}`,
    ];
    const calls = names.flatMap((id): [MethodName, object][] => [
      ["CreateVolume", { id, size: 1 }],
      ["GetVolume", { id }],
      ["DeleteDataset", { id }],
      ["ListSnapshots", { id }],
      ["CreateSnapshot", { id, dest: "s" }],
      ["GetSnapshot", { id }],
      ["DeleteSnapshot", { id, recursive: true }],
      ["RollbackSnapshot", { id, destroyMoreRecent: true }],
      ["ResizeVolume", { id, size: 8 }],
      ["RenameVolume", { id, dest: `${own}/moved` }],
      ["PromoteVolume", { id }],
      ["SetVolume", { id, readonly: false }],
      ["GetVolumeProperties", { id }],
      ["CloneImage", { id: "no-such-image", dest: id }],
    ]);
    const failures = await Promise.all(calls.map(([method, params]) => server.failure(method, params)));
    for (const [index, { message, data }] of failures.entries()) {
      const [method, params] = calls[index] ?? [];
      const call = `${method} ${JSON.stringify(params)}`;
      expect(`${call}: ${message}`).toMatch(/: not a valid dataset(?:$|: )/);
      expect([call, data.reason, data.errno]).toEqual([call, "name.invalid", "EINVAL"]);
    }
    await untouched();
  });

  test("slashes too many and dots are cleaned away, as the original does", async () => {
    const volume = { id: `${pool}/${own}/v`, size: 1, device: deviceOf(`${pool}/${own}/v`) };
    const names = [
      `/${own}/v`,
      `${own}/v/`,
      `${own}//v`,
      `${own}/./v`,
      `./${own}/v/.`,
      `//${own}///v//`,
      `/${pool}/${own}/v`,
      `${pool}//${own}/v`,
    ];
    const found = await Promise.all(names.map((id) => server.must("GetVolume", { id })));
    expect(found).toEqual(names.map(() => ({ volumes: [volume] })));
    const listed = await Promise.all(
      ["/", ".", "//", `/${pool}/`].map((id) => server.must("ListSnapshots", { id })),
    );
    const all = await server.must("ListSnapshots", {});
    expect(listed).toEqual([all, all, all, all]);
    await server.must("CreateVolume", { id: `/${own}//cleaned/`, size: 1 });
    const cleaned = { id: `${pool}/${own}/cleaned`, size: 1, device: deviceOf(`${pool}/${own}/cleaned`) };
    const deleted = await server.must("DeleteDataset", { id: `${own}/./cleaned/` });
    expect(deleted).toEqual({ volumes: [cleaned] });
    for (const id of ["/", ".", "/images/", "//guests", `${pool}/./images`]) {
      expect((await server.failure("DeleteDataset", { id })).data.reason).toBe("dataset.protected");
    }
    const noVolumes = await Promise.all(
      ["/", "."].map((id) => server.failure("CreateVolume", { id, size: 1 })),
    );
    expect(noVolumes.map(({ data }) => data.reason)).toEqual(["dataset.exists", "dataset.exists"]);
    await untouched();
  });

  test("the refusal of a name has the contract's words where old clients may compare them", async () => {
    const errors = await Promise.all(
      (["GetSnapshot", "DeleteDataset"] as const).map((method) => server.refusal(method, { id: "../x@y" })),
    );
    expect(errors).toEqual(["not a valid dataset", "not a valid dataset"]);
  });

  test("names of 255 bytes with their pool are good, longer ones are not", async () => {
    const room = 255 - `${pool}/${own}/`.length;
    const errors = await Promise.all([
      server.refusal("GetVolume", { id: `${own}/${"x".repeat(room)}` }),
      server.refusal("GetVolume", { id: `${own}/${"x".repeat(room + 1)}` }),
      server.refusal("GetSnapshot", { id: `${own}/${"x".repeat(room - 2)}@s` }),
      server.refusal("GetSnapshot", { id: `${own}/${"x".repeat(room - 1)}@s` }),
      server.refusal("CreateSnapshot", { id: `${own}/v`, dest: "x".repeat(255) }),
    ]);
    expect(errors[0]).toBe("not found");
    expect(errors[1]).toMatch(/^not a valid dataset/);
    expect(errors[2]).toBe("not found");
    expect(errors[3]).toBe("not a valid dataset");
    expect(errors[4]).not.toBe("");
  });

  test("names that look like options are names", async () => {
    const names = ["-r", "-R", "--help", "-", "-V"];
    const found = await Promise.all(names.map((id) => server.refusal("GetVolume", { id })));
    expect(found).toEqual(names.map(() => "not found"));
    const listed = await Promise.all(names.map((id) => server.refusal("ListSnapshots", { id })));
    expect(listed).toEqual(names.map(() => "not found"));
    const deleted = await Promise.all(names.map((id) => server.refusal("DeleteDataset", { id })));
    expect(deleted).toEqual(names.map(() => "not found"));
    const made = await server.must("CreateVolume", { id: `${own}/-s`, size: 1 });
    expect(made.volumes[0]?.id).toBe(`${pool}/${own}/-s`);
    await untouched();
  });

  test("zfs's reserved and odd characters within the grammar are kept as they are", async () => {
    const id = `${own}/A.b-c_d:1`;
    const { volumes } = await server.must("CreateVolume", { id, size: 1 });
    expect(volumes).toEqual([{ id: `${pool}/${id}`, size: 1, device: deviceOf(`${pool}/${id}`) }]);
  });

  test("a request serves the first pool, the one its pool member says, or the one its name begins with", async () => {
    const sizes = await Promise.all(
      [
        { id: `${own}/v` },
        { id: `${own}/v`, pool },
        { id: `${pool}/${own}/v` },
        { id: `${own}/v`, pool: otherPool },
        { id: `${otherPool}/${own}/v` },
        { id: `${otherPool}/${own}/v`, pool: otherPool },
      ].map(async (params) => (await server.must("GetVolume", params)).volumes[0]),
    );
    const volume = (name: string, size: number) => ({
      id: `${name}/${own}/v`,
      size,
      device: deviceOf(`${name}/${own}/v`),
    });
    expect(sizes).toEqual([
      volume(pool, 1),
      volume(pool, 1),
      volume(pool, 1),
      volume(otherPool, 2),
      volume(otherPool, 2),
      volume(otherPool, 2),
    ]);
  });

  test("ListVolumes and ListSnapshots list one pool", async () => {
    await server.must("CreateSnapshot", { id: `${otherPool}/${own}/v`, dest: "s" });
    const [volumes, otherVolumes, snapshots, otherSnapshots] = await Promise.all([
      server.must("ListVolumes", {}),
      server.must("ListVolumes", { pool: otherPool }),
      server.must("ListSnapshots", {}),
      server.must("ListSnapshots", { pool: otherPool }),
    ]);
    const ids = (entries: readonly { readonly id: string }[]) =>
      entries.map(({ id }) => id).filter((id) => id.includes(own));
    expect(ids(volumes.volumes)).toContain(`${pool}/${own}/v`);
    expect(ids(otherVolumes.volumes)).toEqual([`${otherPool}/${own}/v`]);
    expect(ids(snapshots.snapshots)).toEqual([]);
    expect(ids(otherSnapshots.snapshots)).toEqual([`${otherPool}/${own}/v@s`]);
  });

  test("a pool that is not configured is refused by every method", async () => {
    const methods: [MethodName, object][] = [
      ["ListImages", {}],
      ["GetImage", { id: "x" }],
      ["RequestImage", { id: "x" }],
      ["DeleteImage", { id: "x" }],
      ["CloneImage", { id: "x", dest: "y" }],
      ["ListVolumes", {}],
      ["CreateVolume", { id: `${own}/x`, size: 1 }],
      ["GetVolume", { id: `${own}/v` }],
      ["DeleteDataset", { id: `${own}/v` }],
      ["ListSnapshots", {}],
      ["GetSnapshot", { id: `${own}/v@s` }],
      ["CreateSnapshot", { id: `${own}/v`, dest: "s" }],
      ["SnapshotGuest", { id: "g", dest: "s" }],
      ["CreateBookmark", { id: `${own}/v@s`, dest: "b" }],
      ["ListBookmarks", { id: `${own}/v` }],
      ["DeleteBookmark", { id: `${own}/v#b` }],
      ["DeleteSnapshot", { id: `${own}/v@s` }],
      ["RollbackSnapshot", { id: `${own}/v@s` }],
      ["ResizeVolume", { id: `${own}/v`, size: 8 }],
      ["RenameVolume", { id: `${own}/v`, dest: `${own}/w` }],
      ["PromoteVolume", { id: `${own}/v` }],
      ["SetVolume", { id: `${own}/v`, readonly: false }],
      ["GetVolumeProperties", { id: `${own}/v` }],
      ["CloneSnapshot", { id: `${own}/v@s`, dest: `${own}/w` }],
      ["VerifyDisks", { guest: { id: "g", disks: [{ size: 1 }] } }],
      ["CreateGuestDisks", { guest: { id: "g", disks: [{ size: 1 }] } }],
      ["DeleteGuestsDisks", { guest: { id: "g" } }],
    ];
    const failures = await Promise.all(
      methods.flatMap(([method, params]) =>
        ["no-such-pool", `${pool}/images`, "..", "-r"].map((name) =>
          server.failure(method, { ...params, pool: name }),
        ),
      ),
    );
    for (const { data } of failures) {
      expect(data).toMatchObject({ reason: "pool.not_found", errno: "ENOENT", retryable: false });
    }
  });

  test("a name in another pool than the pool member says is refused", async () => {
    const id = `${otherPool}/${own}/v`;
    const failures = await Promise.all([
      server.failure("GetVolume", { id, pool }),
      server.failure("DeleteDataset", { id, pool }),
      server.failure("GetSnapshot", { id: `${id}@s`, pool }),
      server.failure("CreateSnapshot", { id, dest: "x", pool }),
    ]);
    for (const { message, data } of failures) {
      expect(message).toMatch(/^not a valid dataset/);
      expect(data).toMatchObject({ reason: "name.invalid", errno: "EINVAL", retryable: false });
    }
    await untouched();
  });

  test.each(["..", ".", ".hidden", "a/b", "a@b", "a\u0000", "é", "x".repeat(256), "-o x=y", "%2e%2e"])(
    "the id %j is no image's",
    async (id) => {
      const errors = await Promise.all([
        server.refusal("RequestImage", { id }),
        server.refusal("GetImage", { id }),
        server.refusal("DeleteImage", { id }),
        server.refusal("CloneImage", { id, dest: `${own}/clone` }),
      ]);
      expect(errors[0]).toMatch(/^invalid id: /);
      expect(errors.slice(1)).toEqual(["not found", "not found", "not found"]);
    },
  );

  test.each(["..", "a/b", "a@b", "a\u0000", "é", "x".repeat(256), "a=b"])(
    "the id %j is no guest's",
    async (id) => {
      const guest = { id, disks: [{ size: 1 }] };
      const failures = await Promise.all([
        server.failure("VerifyDisks", { guest }),
        server.failure("CreateGuestDisks", { guest }),
        server.failure("DeleteGuestsDisks", { guest }),
      ]);
      expect(failures.map(({ data }) => data.reason)).toEqual([
        "name.invalid",
        "name.invalid",
        "name.invalid",
      ]);
    },
  );
});
