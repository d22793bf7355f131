import { beforeAll, expect, test } from "vitest";
import { conformance } from "./suite.js";

conformance("Snapshots", "snapshots", ({ server, pool, own }) => {
  const tree = `${own}/tree`;
  const a = `${tree}/a`;
  const b = `${tree}/b`;
  const snapshot = (name: string) => ({ id: `${pool}/${name}`, size: 0 });

  beforeAll(async () => {
    await server.must("CreateVolume", { id: a, size: 8 });
    await server.must("CreateVolume", { id: b, size: 8 });
    await server.must("CreateSnapshot", { id: a, dest: "kept" });
  });

  test("CreateSnapshot answers the snapshot that it made", async () => {
    const params = `[{"id":"${a}","dest":"A-z_0:9.x"}]`;
    const reply = await server.post(`{"method":"ImageStore.CreateSnapshot","params":${params},"id":1}`);
    expect(reply.text).toBe(
      `{"result":{"snapshots":[{"id":"${pool}/${a}@A-z_0:9.x","size":0}]},"error":null,"id":1}\n`,
    );
    expect(await server.must("DeleteSnapshot", { id: `${pool}/${a}@A-z_0:9.x` })).toEqual({
      snapshots: [snapshot(`${a}@A-z_0:9.x`)],
    });
  });

  test("a notification runs, in 1.0 and in 2.0", async () => {
    const params = (dest: string) => `"method":"CreateSnapshot","params":[{"id":"${b}","dest":"${dest}"}]`;
    const [old, current] = await Promise.all([
      server.post(`{${params("notified-1")}}`),
      server.post(`{"jsonrpc":"2.0",${params("notified-2")}}`),
    ]);
    expect([old.status, old.text, current.status, current.text]).toEqual([200, "", 204, ""]);
    const deleted = await Promise.all(
      ["notified-1", "notified-2"].map((name) => server.call("DeleteSnapshot", { id: `${b}@${name}` })),
    );
    expect(deleted.map(({ error }) => error)).toEqual([null, null]);
  });

  test("GetSnapshot takes the relative and the full name", async () => {
    const [relative, full] = await Promise.all([
      server.must("GetSnapshot", { id: `${a}@kept` }),
      server.must("GetSnapshot", { id: `${pool}/${a}@kept` }),
    ]);
    expect(relative).toEqual({ snapshots: [snapshot(`${a}@kept`)] });
    expect(full).toEqual(relative);
  });

  test("GetSnapshot says why there is none", async () => {
    const errors = await Promise.all([
      server.refusal("GetSnapshot", {}),
      server.refusal("GetSnapshot", { id: `${a}@no-such` }),
      server.refusal("GetSnapshot", { id: `${own}/no-such@kept` }),
      server.refusal("GetSnapshot", { id: a }),
      server.refusal("GetSnapshot", { id: `${a}@` }),
    ]);
    expect(errors).toEqual(["need an id", "not found", "not found", "not a snapshot", "not a valid dataset"]);
    expect(await server.must("GetSnapshot", { id: `/${a}@kept` })).toEqual({
      snapshots: [snapshot(`${a}@kept`)],
    });
  });

  test("what doesn't exist is not found, whether its name is a snapshot's or not", async () => {
    const absent = ["asdf", `${own}/no-such`, `${own}/no-such/below`, `${pool}/asdf`];
    const methods = ["GetSnapshot", "DeleteSnapshot", "RollbackSnapshot"] as const;
    for (const method of methods) {
      for (const id of absent) expect([id, await server.refusal(method, { id })]).toEqual([id, "not found"]);
      for (const id of [a, tree, pool]) {
        expect([id, await server.refusal(method, { id })]).toEqual([id, "not a snapshot"]);
      }
    }
    const { data } = await server.failure("GetSnapshot", { id: "asdf" });
    expect(data).toMatchObject({ reason: "dataset.not_found", errno: "ENOENT", retryable: false });
    const downloads = await Promise.all(
      ["asdf", `${own}/no-such`, a].map((id) =>
        server.send({ method: "GET", path: `/snapshots/download?id=${encodeURIComponent(id)}` }),
      ),
    );
    expect(downloads.map(({ status, text }) => [status, text])).toEqual([
      [404, "not found\n"],
      [404, "not found\n"],
      [400, "not a snapshot\n"],
    ]);
  });

  test("CreateSnapshot looks for the dataset before it looks at dest", async () => {
    const wrong = [{}, { dest: "a b" }, { dest: "a@b" }, { dest: "s" }, { dest: "x".repeat(255) }];
    const absent = await Promise.all(
      [`${own}/no-such`, `${a}@no-such`].flatMap((id) =>
        wrong.map((params) => server.refusal("CreateSnapshot", { id, ...params })),
      ),
    );
    expect(absent).toEqual(absent.map(() => "not found"));
    const ofSnapshot = await Promise.all(
      wrong.slice(0, 4).map((params) => server.refusal("CreateSnapshot", { id: `${a}@kept`, ...params })),
    );
    expect(ofSnapshot).toEqual([
      "need a dest",
      "invalid snapshot dest",
      "invalid snapshot dest",
      "cannot create a snapshot of a snapshot",
    ]);
    expect(await server.refusal("CreateSnapshot", {})).toBe("need an id");
    expect((await server.must("ListSnapshots", { id: a })).snapshots).toEqual([snapshot(`${a}@kept`)]);
  });

  test("ListSnapshots of a snapshot is that one", async () => {
    await server.must("CreateSnapshot", { id: a, dest: "second" });
    const expected = { snapshots: [snapshot(`${a}@kept`)] };
    expect(await server.must("ListSnapshots", { id: `${a}@kept` })).toEqual(expected);
    expect(await server.must("ListSnapshots", { id: `/${pool}/${a}@kept` })).toEqual(expected);
    expect(await server.refusal("ListSnapshots", { id: `${a}@no-such` })).toBe("not found");
    expect(await server.refusal("ListSnapshots", { id: `${own}/no-such@kept` })).toBe("not found");
    expect(await server.refusal("ListSnapshots", { id: `${a}@` })).toBe("not a valid dataset");
    await server.must("DeleteSnapshot", { id: `${a}@second` });
  });

  test("CreateSnapshot needs an id, a dest and a dataset", async () => {
    const errors = await Promise.all([
      server.refusal("CreateSnapshot", { dest: "s" }),
      server.refusal("CreateSnapshot", { id: a }),
      server.refusal("CreateSnapshot", { id: `${a}@kept`, dest: "s" }),
      server.refusal("CreateSnapshot", { id: `${own}/no-such`, dest: "s" }),
      server.refusal("CreateSnapshot", { id: `${own}/no-such`, dest: "s", recursive: true }),
    ]);
    expect(errors).toEqual([
      "need an id",
      "need a dest",
      "cannot create a snapshot of a snapshot",
      "not found",
      "not found",
    ]);
  });

  test.each(["a b", "a/b", "a@b", "@", "é", "a%", "a,b", "a\nb", "\u0000", "a;b", "a#b", "$(x)", "a+b"])(
    "CreateSnapshot refuses the dest %j",
    async (dest) => {
      expect(await server.refusal("CreateSnapshot", { id: a, dest })).toBe("invalid snapshot dest");
    },
  );

  test("a dest that looks like an option is a name like any other", async () => {
    const { snapshots } = await server.must("CreateSnapshot", { id: a, dest: "-r" });
    expect(snapshots).toEqual([snapshot(`${a}@-r`)]);
    expect(await server.refusal("GetSnapshot", { id: `${b}@-r` })).toBe("not found");
    await server.must("DeleteSnapshot", { id: `${a}@-r` });
  });

  test("a snapshot that exists is not made again", async () => {
    const error = await server.failure("CreateSnapshot", { id: a, dest: "kept" });
    expect(error.message).toBe(`dataset already exists: ${pool}/${a}@kept`);
    expect(error.data).toMatchObject({ reason: "dataset.exists", errno: "EEXIST", retryable: false });
  });

  test("a recursive snapshot is made of all below, listed, and deleted as a whole", async () => {
    const wanted = [tree, a, b].map((name) => snapshot(`${name}@all`));
    const made = await server.must("CreateSnapshot", { id: tree, dest: "all", recursive: true });
    expect(made.snapshots).toHaveLength(3);
    expect(made.snapshots).toEqual(expect.arrayContaining(wanted));

    const [below, ofPool, alsoOfPool] = await Promise.all([
      server.must("ListSnapshots", { id: tree }),
      server.must("ListSnapshots", {}),
      server.must("ListSnapshots", { id: pool }),
    ]);
    const everyOne = [...wanted, snapshot(`${a}@kept`)];
    expect(below.snapshots).toHaveLength(everyOne.length);
    expect(below.snapshots).toEqual(expect.arrayContaining(everyOne));
    expect(ofPool.snapshots).toEqual(expect.arrayContaining(everyOne));
    expect(alsoOfPool).toEqual(ofPool);

    const deleted = await server.must("DeleteSnapshot", { id: `${tree}@all`, recursive: true });
    expect(deleted.snapshots).toHaveLength(3);
    expect(deleted.snapshots).toEqual(expect.arrayContaining(wanted));
    expect(await server.must("ListSnapshots", { id: tree })).toEqual({ snapshots: [snapshot(`${a}@kept`)] });
  });

  test("a recursive snapshot of which one exists already makes none", async () => {
    const error = await server.refusal("CreateSnapshot", { id: tree, dest: "kept", recursive: true });
    expect(error).toBe("dataset already exists");
    expect(await server.must("ListSnapshots", { id: tree })).toEqual({ snapshots: [snapshot(`${a}@kept`)] });
  });

  test("ListSnapshots is an empty list for a dataset without any, and not found without the dataset", async () => {
    const params = `[{"id":"${b}"}]`;
    const reply = await server.post(`{"method":"ImageStore.ListSnapshots","params":${params},"id":1}`);
    expect(reply.text).toBe('{"result":{"snapshots":[]},"error":null,"id":1}\n');
    expect(await server.refusal("ListSnapshots", { id: `${own}/no-such` })).toBe("not found");
    expect(await server.refusal("ListSnapshots", { id: `${own}/../x` })).toBe("not a valid dataset");
  });

  test("DeleteSnapshot says why there is nothing to delete", async () => {
    const errors = await Promise.all([
      server.refusal("DeleteSnapshot", {}),
      server.refusal("DeleteSnapshot", { id: `${a}@no-such` }),
      server.refusal("DeleteSnapshot", { id: `${own}/no-such@kept`, recursive: true }),
      server.refusal("DeleteSnapshot", { id: a }),
      server.refusal("DeleteSnapshot", { id: `${a}@kept,other` }),
      server.refusal("DeleteSnapshot", { id: `${a}@kept%` }),
    ]);
    expect(errors.slice(0, 4)).toEqual(["need an id", "not found", "not found", "not a snapshot"]);
    // Lists and ranges are zfs's own syntax and no names.
    for (const error of errors.slice(4)) expect(error).toMatch(/^not a valid dataset/);
    expect(await server.must("GetSnapshot", { id: `${a}@kept` })).toEqual({
      snapshots: [snapshot(`${a}@kept`)],
    });
  });

  test("RollbackSnapshot past newer snapshots names every one, and removes them when told to", async () => {
    await server.must("CreateSnapshot", { id: b, dest: "old" });
    await server.must("CreateSnapshot", { id: b, dest: "newer" });
    await server.must("CreateSnapshot", { id: b, dest: "newest" });
    const error = await server.failure("RollbackSnapshot", { id: `${b}@old` });
    expect(error.message).toContain(`${pool}/${b}@newer`);
    expect(error.message).toContain(`${pool}/${b}@newest`);
    expect(error.data).toMatchObject({ reason: "snapshot.newer_exist", errno: "EEXIST", retryable: false });
    expect((await server.must("ListSnapshots", { id: b })).snapshots).toHaveLength(3);

    const rolledBack = await server.must("RollbackSnapshot", { id: `${b}@old`, destroyMoreRecent: true });
    expect(rolledBack).toEqual({ snapshots: [snapshot(`${b}@old`)] });
    expect(await server.must("ListSnapshots", { id: b })).toEqual({ snapshots: [snapshot(`${b}@old`)] });
    expect(await server.must("RollbackSnapshot", { id: `${b}@old` })).toEqual(rolledBack);
  });

  test("RollbackSnapshot says why it can't", async () => {
    const errors = await Promise.all([
      server.refusal("RollbackSnapshot", {}),
      server.refusal("RollbackSnapshot", { id: `${a}@no-such` }),
      server.refusal("RollbackSnapshot", { id: a }),
    ]);
    expect(errors).toEqual(["need an id", "not found", "not a snapshot"]);
  });
});
