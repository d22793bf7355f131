import { beforeAll, expect, test } from "vitest";
import { conformance } from "./suite.js";

/** More than any pool under test holds: 100000 GiB. */
const TOO_LARGE_MIB = 100_000 * 1024;

conformance("Volumes and datasets", "volumes", ({ server, pool, own, deviceOf }) => {
  const volume = (name: string, size = 8) => ({
    id: `${pool}/${own}/${name}`,
    size,
    device: deviceOf(`${pool}/${own}/${name}`),
  });

  beforeAll(async () => {
    await server.must("CreateVolume", { id: `${own}/kept`, size: 8 });
  });

  test("CreateVolume makes the parents too and answers full name, size and device", async () => {
    const id = `${own}/deep/er/v`;
    const body = `{"method":"ImageStore.CreateVolume","params":[{"id":"${id}","size":8}],"id":1}`;
    const reply = await server.post(body);
    expect(reply.text).toBe(
      `{"result":{"volumes":[{"id":"${pool}/${id}","size":8,"device":"${deviceOf(`${pool}/${id}`)}"}]},"error":null,"id":1}\n`,
    );
    expect(await server.must("GetVolume", { id })).toEqual({ volumes: [volume("deep/er/v")] });
  });

  test("GetVolume takes the relative and the full name", async () => {
    const wanted = { volumes: [volume("kept")] };
    const [relative, full] = await Promise.all([
      server.must("GetVolume", { id: `${own}/kept` }),
      server.must("GetVolume", { id: `${pool}/${own}/kept` }),
    ]);
    expect(relative).toEqual(wanted);
    expect(full).toEqual(wanted);
  });

  test("ListVolumes lists volumes and no filesystems", async () => {
    const { volumes } = await server.must("ListVolumes", {});
    expect(volumes).toContainEqual(volume("kept"));
    const ids = volumes.map(({ id }) => id);
    for (const filesystem of [pool, `${pool}/${own}`, `${pool}/images`, `${pool}/guests`]) {
      expect(ids).not.toContain(filesystem);
    }
  });

  test("CreateVolume repeated with the same size succeeds, with another it is refused", async () => {
    expect(await server.must("CreateVolume", { id: `${own}/kept`, size: 8 })).toEqual({
      volumes: [volume("kept")],
    });
    const error = await server.failure("CreateVolume", { id: `${own}/kept`, size: 16 });
    expect(error.message).toMatch(/^dataset already exists: .+ \(size: found \d+ MiB, wanted \d+ MiB\)$/);
    expect(error.data).toEqual({
      reason: "dataset.exists",
      errno: "EEXIST",
      retryable: false,
      object: `${pool}/${own}/kept`,
      field: "size",
      found: "8 MiB",
      wanted: "16 MiB",
    });
    expect(await server.must("GetVolume", { id: `${own}/kept` })).toEqual({ volumes: [volume("kept")] });
  });

  test("CreateVolume is refused where a filesystem has the name", async () => {
    expect(await server.refusal("CreateVolume", { id: own, size: 8 })).toBe("dataset already exists");
  });

  test("CreateVolume below a volume is refused", async () => {
    const error = await server.failure("CreateVolume", { id: `${own}/kept/below`, size: 8 });
    expect(error.data).toMatchObject({ reason: "dataset.wrong_type", errno: "EINVAL", retryable: false });
    expect(await server.refusal("GetVolume", { id: `${own}/kept/below` })).toBe("not found");
  });

  test("CreateVolume needs a size and an id", async () => {
    const errors = await Promise.all([
      server.refusal("CreateVolume", { id: `${own}/unsized` }),
      server.refusal("CreateVolume", { id: `${own}/unsized`, size: 0 }),
      server.refusal("CreateVolume", { size: 8 }),
    ]);
    expect(errors).toEqual(["need a valid size", "need a valid size", "need an id"]);
  });

  test("CreateVolume of more than the pool has room for leaves nothing", async () => {
    const error = await server.failure("CreateVolume", { id: `${own}/huge/v`, size: TOO_LARGE_MIB });
    expect(error.message).toMatch(/^no space left on device.* \(size: found \d+ MiB.*, wanted .*\d+ MiB\)$/);
    expect(error.data).toMatchObject({ reason: "pool.no_space", errno: "ENOSPC", retryable: false });
    expect(await server.refusal("GetVolume", { id: `${own}/huge/v` })).toBe("not found");
  });

  test.each([
    // Around 2^53 bytes, where numbers of JavaScript stop being exact.
    "8589934591",
    "8589934592",
    "8589934593",
    // Around 2^63 bytes, which a volume can't have, and 2^64 bytes.
    "8796093022207",
    "8796093022208",
    "17592186044415",
    "17592186044416",
    // Around 2^53, 2^63 and 2^64 MiB.
    "9007199254740991",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
  ])("CreateVolume of %s MiB finds no space, and is not wrapped around", async (size) => {
    const params = `[{"id":"${own}/wrapped","size":${size}}]`;
    const reply = await server.post(`{"method":"CreateVolume","params":${params},"id":1}`);
    expect(reply.status).toBe(200);
    expect(reply.text).toBe('{"result":null,"error":"no space left on device","id":1}\n');
    expect(await server.refusal("GetVolume", { id: `${own}/wrapped` })).toBe("not found");
  });

  test("GetVolume says what is no volume and what is not there", async () => {
    const errors = await Promise.all([
      server.refusal("GetVolume", { id: own }),
      server.refusal("GetVolume", { id: pool }),
      server.refusal("GetVolume", { id: `${own}/no-such` }),
      server.refusal("GetVolume", { id: `${own}/kept@no-such` }),
    ]);
    expect(errors).toEqual(["not a volume", "not a volume", "not found", "not a volume"]);
  });

  test("volumes are made and deleted side by side", async () => {
    const ids = Array.from({ length: 6 }, (_each, index) => `${own}/side-${index}`);
    const made = await Promise.all(ids.map((id) => server.must("CreateVolume", { id, size: 1 })));
    expect(made.map(({ volumes }) => volumes[0]?.id)).toEqual(ids.map((id) => `${pool}/${id}`));
    await Promise.all(ids.map((id) => server.must("DeleteDataset", { id })));
    const { volumes } = await server.must("ListVolumes", {});
    expect(volumes.filter(({ id }) => id.startsWith(`${pool}/${own}/side-`))).toEqual([]);
  });

  test("concurrent calls whose volumes need the same new parents all succeed", async () => {
    const names = ["fresh/x/a", "fresh/x/b", "fresh/c", "fresh/y/d"];
    const made = await Promise.all(
      names.map((name) => server.call("CreateVolume", { id: `${own}/${name}`, size: 1 })),
    );
    expect(made).toMatchObject(
      names.map((name) => ({ error: null, result: { volumes: [volume(name, 1)] } })),
    );
  });

  test("concurrent calls for one volume make one volume, of one of the sizes", async () => {
    const id = `${own}/contended`;
    const answers = await Promise.all([1, 2, 1, 2].map((size) => server.call("CreateVolume", { id, size })));
    const { volumes } = await server.must("GetVolume", { id });
    for (const { result, error } of answers) {
      if (error === null) expect(result).toEqual({ volumes });
      else expect(error).toBe("dataset already exists");
    }
    expect(answers.filter(({ error }) => error === null)).toHaveLength(2);
  });

  test("DeleteDataset removes a volume and answers it", async () => {
    await server.must("CreateVolume", { id: `${own}/doomed`, size: 8 });
    const { volumes } = await server.must("DeleteDataset", { id: `${own}/doomed` });
    expect(volumes).toEqual([volume("doomed")]);
    expect(await server.refusal("GetVolume", { id: `${own}/doomed` })).toBe("not found");
    expect(await server.refusal("DeleteDataset", { id: `${own}/doomed` })).toBe("not found");
  });

  test("DeleteDataset removes all that is below, snapshots included", async () => {
    await server.must("CreateVolume", { id: `${own}/tree/a`, size: 1 });
    await server.must("CreateVolume", { id: `${own}/tree/b/c`, size: 1 });
    await server.must("CreateSnapshot", { id: `${own}/tree`, dest: "s", recursive: true });
    const { volumes } = await server.must("DeleteDataset", { id: `${pool}/${own}/tree` });
    expect(volumes.map(({ id }) => id)).toEqual([`${pool}/${own}/tree`]);
    expect(await server.refusal("ListSnapshots", { id: `${own}/tree` })).toBe("not found");
    expect(await server.refusal("GetVolume", { id: `${own}/tree/b/c` })).toBe("not found");
  });

  test("DeleteDataset needs an id that names something", async () => {
    const errors = await Promise.all([
      server.refusal("DeleteDataset", {}),
      server.refusal("DeleteDataset", { id: `${own}/no-such` }),
      server.refusal("DeleteDataset", { id: `${own}/no-such@s` }),
      server.refusal("DeleteDataset", { id: `../${own}/kept` }),
      server.refusal("DeleteDataset", { id: `${own}/kept/..` }),
    ]);
    expect(errors).toEqual([
      "need an id",
      "not found",
      "not found",
      "not a valid dataset",
      "not a valid dataset",
    ]);
  });

  test("the pool's root, images and guests can't be deleted, by whatever name", async () => {
    const names = [pool, "images", "guests", `${pool}/images`, `${pool}/guests`];
    const failures = await Promise.all(names.map((id) => server.failure("DeleteDataset", { id })));
    expect(failures.map(({ data }) => data.reason)).toEqual(names.map(() => "dataset.protected"));
    expect(failures.map(({ data }) => data.errno)).toEqual(names.map(() => "EPERM"));
    const kept = await Promise.all(names.map((id) => server.refusal("GetVolume", { id })));
    expect(kept).toEqual(names.map(() => "not a volume"));
  });

  test("DeleteGuestsDisks can't be made to delete what is no guest's", async () => {
    for (const id of ["", ".", "..", "/", "../images", "g/../..", `../${own}`, `${pool}`, "-r"]) {
      const { result, error } = await server.call("DeleteGuestsDisks", { guest: { id } });
      // A guest of that name may exist, and is then without disks; its name can't lead elsewhere.
      if (error === null) expect(result).toEqual({ guest: { id, disks: [] } });
    }
    const names = [pool, "images", "guests"];
    const kept = await Promise.all(names.map((id) => server.refusal("GetVolume", { id })));
    expect(kept).toEqual(names.map(() => "not a volume"));
    expect(await server.must("GetVolume", { id: `${own}/kept` })).toEqual({ volumes: [volume("kept")] });
  });
});
