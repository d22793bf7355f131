import { expect, test } from "vitest";
import { conformance } from "./suite.js";

/** More than any pool under test holds: 100000 GiB. */
const TOO_LARGE_MIB = 100_000 * 1024;

conformance("Changes of a volume", "volume-changes", ({ server, pool, otherPool, own, deviceOf }) => {
  const volume = (name: string, size = 8) => ({
    id: `${pool}/${own}/${name}`,
    size,
    device: deviceOf(`${pool}/${own}/${name}`),
  });
  const create = (name: string, size = 8) => server.must("CreateVolume", { id: `${own}/${name}`, size });
  const snapshotsOf = async (name: string) =>
    (await server.must("ListSnapshots", { id: `${own}/${name}` })).snapshots.map(({ id }) => id).sort();

  test("ResizeVolume grows a volume, and a repeat changes nothing", async () => {
    await create("grown");
    const id = `${own}/grown`;
    for (const size of [24, 24]) {
      expect(await server.must("ResizeVolume", { id, size })).toEqual({ volumes: [volume("grown", 24)] });
    }
    expect(await server.must("GetVolume", { id })).toEqual({ volumes: [volume("grown", 24)] });
  });

  test("ResizeVolume shrinks only where allowDataLoss lets it, and the refusal has both sizes", async () => {
    await create("shrunk", 24);
    const id = `${own}/shrunk`;
    const { message, data } = await server.failure("ResizeVolume", { id, size: 8 });
    expect(message).toMatch(
      /^the volume would shrink; allowDataLoss lets it: .+ \(size: found 24 MiB, wanted 8 MiB\)$/,
    );
    expect(data).toMatchObject({ reason: "dataset.would_shrink", errno: "EINVAL", retryable: false });
    expect(await server.must("GetVolume", { id })).toEqual({ volumes: [volume("shrunk", 24)] });
    expect(await server.must("ResizeVolume", { id, size: 8, allowDataLoss: true })).toEqual({
      volumes: [volume("shrunk", 8)],
    });
  });

  test("a snapshot keeps its size when its volume grows, and a rollback gives it back", async () => {
    await create("rolled");
    const id = `${own}/rolled`;
    await server.must("CreateSnapshot", { id, dest: "s" });
    await server.must("ResizeVolume", { id, size: 16 });
    await server.must("RollbackSnapshot", { id: `${id}@s` });
    expect(await server.must("GetVolume", { id })).toEqual({ volumes: [volume("rolled", 8)] });
  });

  test("ResizeVolume beyond the room of the pool changes nothing, and says how much is free", async () => {
    await create("tight");
    const id = `${own}/tight`;
    const { message, data } = await server.failure("ResizeVolume", { id, size: TOO_LARGE_MIB });
    expect(message).toMatch(
      /^no space left on device.* \(size: found \d+ MiB free in pool .*, wanted \d+ MiB\)$/,
    );
    expect(data).toMatchObject({ reason: "pool.no_space", errno: "ENOSPC" });
    expect(await server.must("GetVolume", { id })).toEqual({ volumes: [volume("tight")] });
  });

  test("ListVolumes with an origin has the clones of a snapshot, or of all snapshots of a volume", async () => {
    await create("stem");
    for (const dest of ["s1", "s2"]) await server.must("CreateSnapshot", { id: `${own}/stem`, dest });
    for (const [snapshot, dest] of [
      ["s1", "of-1a"],
      ["s1", "of-1b"],
      ["s2", "of-2"],
    ]) {
      await server.must("CloneSnapshot", { id: `${own}/stem@${snapshot}`, dest: `${own}/${dest}` });
    }
    const clones = async (origin: string, page: object = {}) =>
      (await server.must("ListVolumes", { origin, ...page })).volumes.map(({ id }) => id);
    const full = (...names: string[]) => names.map((name) => `${pool}/${own}/${name}`);
    expect((await clones(`${own}/stem@s1`)).sort()).toEqual(full("of-1a", "of-1b"));
    expect((await clones(`${pool}/${own}/stem`)).sort()).toEqual(full("of-1a", "of-1b", "of-2"));
    expect(await clones(`${own}/stem`, { limit: 1, after: `${pool}/${own}/of-1a` })).toEqual(full("of-1b"));
    expect(await clones(`${own}/of-1a`)).toEqual([]);
    expect(await clones(`${own}/none@s`)).toEqual([]);
    expect(await server.refusal("ListVolumes", { origin: "a%b" })).toMatch(/^not a valid dataset/);
    for (const name of ["of-1a", "of-1b", "of-2"])
      await server.must("DeleteDataset", { id: `${own}/${name}` });
  });

  test("a volume that has grown takes its room from the others", async () => {
    const { pools } = await server.must("GetPool", { id: pool });
    const available = pools[0]?.available ?? 0;
    await create("large", 8);
    const id = `${own}/large`;
    await server.must("ResizeVolume", { id, size: Math.floor(available / 2) });
    const { data } = await server.failure("CreateVolume", {
      id: `${own}/second`,
      size: Math.floor(available * 0.6),
    });
    expect(data.reason).toBe("pool.no_space");
    await server.must("ResizeVolume", { id, size: 8, allowDataLoss: true });
    await create("second", Math.floor(available * 0.6));
    await server.must("DeleteDataset", { id: `${own}/second` });
  });

  test("RenameVolume takes a volume with its snapshots to its new name, and makes the parents", async () => {
    await create("old");
    await server.must("CreateSnapshot", { id: `${own}/old`, dest: "s" });
    const { volumes } = await server.must("RenameVolume", { id: `${own}/old`, dest: `${own}/new/deep/er` });
    expect(volumes).toEqual([volume("new/deep/er")]);
    expect(await snapshotsOf("new/deep/er")).toEqual([`${pool}/${own}/new/deep/er@s`]);
    expect(await server.refusal("GetVolume", { id: `${own}/old` })).toBe("not found");
    expect(await server.refusal("ListSnapshots", { id: `${own}/old` })).toBe("not found");
    // The name is free again.
    await create("old", 16);
  });

  test("RenameVolume to the name that it has is a success, and takes full names", async () => {
    await create("same");
    const full = `${pool}/${own}/same`;
    expect(await server.must("RenameVolume", { id: full, dest: full })).toEqual({
      volumes: [volume("same")],
    });
  });

  test("RenameVolume onto what is there, below a volume or out of the pool is refused, and changes nothing", async () => {
    await create("first");
    await create("taken", 16);
    const id = `${own}/first`;
    const reasons = async (dest: string) => (await server.failure("RenameVolume", { id, dest })).data.reason;
    const { message } = await server.failure("RenameVolume", { id, dest: `${own}/taken` });
    expect(message).toBe(`dataset already exists: ${pool}/${own}/taken`);
    expect(await reasons(`${own}/taken`)).toBe("dataset.exists");
    expect(await reasons(own)).toBe("dataset.exists");
    expect(await reasons(`${own}/taken/below`)).toBe("dataset.wrong_type");
    expect(await reasons(`${own}/first/below`)).toBe("dataset.wrong_type");
    expect(await reasons(`${otherPool}/${own}/first`)).toBe("name.invalid");
    expect(await reasons("images/first")).toBe("dataset.protected");
    expect(await server.must("GetVolume", { id })).toEqual({ volumes: [volume("first")] });
    expect(await server.must("GetVolume", { id: `${own}/taken` })).toEqual({
      volumes: [volume("taken", 16)],
    });
  });

  const clone = (snapshot: string, dest: string) =>
    server.must("CloneSnapshot", { id: `${own}/${snapshot}`, dest: `${own}/${dest}` });
  const snapshot = (name: string, dest: string) =>
    server.must("CreateSnapshot", { id: `${own}/${name}`, dest });

  test("CloneSnapshot makes a volume of a snapshot, with its size; a repeat is a success", async () => {
    await create("cloned");
    await snapshot("cloned", "s");
    await server.must("ResizeVolume", { id: `${own}/cloned`, size: 16 });
    for (const _each of [1, 2]) {
      expect(await clone("cloned@s", "clones/a")).toEqual({ volumes: [volume("clones/a")] });
    }
    const { data } = await server.failure("DeleteSnapshot", { id: `${own}/cloned@s` });
    expect(data.reason).toBe("dataset.has_clones");
  });

  test("CloneSnapshot refuses what is no snapshot, not there, or where something else is", async () => {
    await create("source");
    await snapshot("source", "s");
    await create("other");
    const refused = (id: string, dest = `${own}/none`) => server.refusal("CloneSnapshot", { id, dest });
    expect(await refused(`${own}/source`)).toBe("not a snapshot");
    expect(await refused(`${own}/none`)).toBe("not found");
    expect(await refused(`${own}/source@none`)).toBe("not found");
    expect(await refused(`${own}/source@s`, "")).toBe("need dest");
    expect(await refused(`${own}/source@s`, `${own}/other`)).toBe("dataset already exists");
    await server.must("CreateSnapshot", { id: own, dest: "folder" });
    expect(await refused(`${own}@folder`)).toBe("not a snapshot of a volume");
    await server.must("DeleteSnapshot", { id: `${own}@folder` });
    expect(await server.refusal("GetVolume", { id: `${own}/none` })).toBe("not found");
  });

  test("PromoteVolume gives a clone the snapshots that it was made of, and then the volume can go", async () => {
    await create("base");
    for (const name of ["older", "origin"]) await snapshot("base", name);
    await clone("base@origin", "heir");
    await clone("base@older", "sibling");
    for (const [name, tag] of [
      ["base", "newer"],
      ["heir", "own"],
    ] as const)
      await snapshot(name, tag);
    expect(await server.must("PromoteVolume", { id: `${own}/heir` })).toEqual({ volumes: [volume("heir")] });
    const named = (name: string, tags: readonly string[]) =>
      tags.map((tag) => `${pool}/${own}/${name}@${tag}`);
    expect(await snapshotsOf("heir")).toEqual(named("heir", ["older", "origin", "own"]));
    expect(await snapshotsOf("base")).toEqual(named("base", ["newer"]));
    const { message } = await server.failure("DeleteSnapshot", { id: `${own}/heir@origin` });
    expect(message).toContain(`clones: ${pool}/${own}/base`);
    await server.must("DeleteDataset", { id: `${own}/base` });
    // The other clone follows: its origin is the heir's now.
    await server.must("PromoteVolume", { id: `${own}/sibling` });
    expect(await snapshotsOf("sibling")).toEqual(named("sibling", ["older"]));
    expect(await snapshotsOf("heir")).toEqual(named("heir", ["origin", "own"]));
    await server.must("PromoteVolume", { id: `${own}/heir` });
    await server.must("DeleteDataset", { id: `${own}/sibling` });
    expect(await snapshotsOf("heir")).toEqual(named("heir", ["older", "origin", "own"]));
  });

  test("PromoteVolume says which snapshot is in the way, and of what is no clone", async () => {
    await create("parent-of-two");
    await snapshot("parent-of-two", "same");
    await snapshot("parent-of-two", "origin");
    await clone("parent-of-two@origin", "conflicting");
    await snapshot("conflicting", "same");
    const { message, data } = await server.failure("PromoteVolume", { id: `${own}/conflicting` });
    expect(message).toBe(
      `cannot promote '${pool}/${own}/conflicting': conflicting snapshot 'same' from parent '${pool}/${own}/parent-of-two@origin'`,
    );
    expect(data).toMatchObject({ reason: "dataset.exists", errno: "EEXIST" });
    expect(await snapshotsOf("parent-of-two")).toHaveLength(2);
    expect(await server.refusal("PromoteVolume", { id: `${own}/parent-of-two` })).toBe("not a clone");
  });

  test("changes of what is no volume, or not there, are refused", async () => {
    const changes = [
      ["ResizeVolume", { size: 8 }],
      ["RenameVolume", { dest: `${own}/x` }],
      ["PromoteVolume", {}],
    ] as const;
    await create("parent/v");
    for (const [method, params] of changes) {
      const refusals = await Promise.all(
        [`${own}/none`, `${own}/parent`, `${own}/parent/v@s`, ""].map((id) =>
          server.refusal(method, { ...params, id }),
        ),
      );
      expect(refusals).toEqual(["not found", "not a volume", "not a volume", "need an id"]);
    }
  });

  test("renames of one volume at once give it one of the names", async () => {
    await create("contended");
    const names = ["x", "y", "z"].map((name) => `${own}/contended-${name}`);
    const answers = await Promise.all(
      names.map((dest) => server.call("RenameVolume", { id: `${own}/contended`, dest })),
    );
    expect(answers.map(({ error }) => error).sort()).toEqual(["not found", "not found", null].sort());
    const there = await Promise.all(names.map((id) => server.call("GetVolume", { id })));
    expect(there.filter(({ error }) => error === null)).toHaveLength(1);
  });
});
