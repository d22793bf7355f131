import { expect, test } from "vitest";
import { conformance } from "./suite.js";

conformance("Bookmarks", "bookmarks", ({ server, pool, own }) => {
  const create = async (name: string, ...tags: string[]) => {
    await server.must("CreateVolume", { id: `${own}/${name}`, size: 8 });
    for (const dest of tags) await server.must("CreateSnapshot", { id: `${own}/${name}`, dest });
  };
  const bookmark = async (name: string, dest: string) =>
    (await server.must("CreateBookmark", { id: `${own}/${name}`, dest })).bookmarks[0];
  const listed = async (name: string) =>
    (await server.must("ListBookmarks", { id: `${own}/${name}` })).bookmarks.map(({ id }) => id).sort();
  const named = (...names: string[]) => names.map((name) => `${pool}/${own}/${name}`);

  test("CreateBookmark keeps a snapshot's guid and time; a repeat is a success, of another it is refused", async () => {
    await create("kept", "s", "t");
    const made = await bookmark("kept@s", "b");
    expect(made).toMatchObject({ id: `${pool}/${own}/kept#b`, guid: expect.stringMatching(/^[1-9]\d+$/) });
    expect(Math.abs(Date.parse(made?.created ?? "") - Date.now())).toBeLessThan(3_600_000);
    expect(await bookmark("kept@s", "b")).toEqual(made);
    expect(await server.refusal("CreateBookmark", { id: `${own}/kept@t`, dest: "b" })).toBe(
      "dataset already exists",
    );
    await server.must("DeleteSnapshot", { id: `${own}/kept@s` });
    const { bookmarks } = await server.must("ListBookmarks", { id: `${own}/kept` });
    expect(bookmarks).toEqual([made]);
  });

  test("ListBookmarks lists those below a dataset, and in pages", async () => {
    await create("l/a", "s");
    await create("l/b", "s");
    for (const name of ["l/a", "l/b"]) for (const dest of ["x", "y"]) await bookmark(`${name}@s`, dest);
    expect(await listed("l")).toEqual(named("l/a#x", "l/a#y", "l/b#x", "l/b#y"));
    const page = await server.must("ListBookmarks", {
      id: `${own}/l`,
      limit: 2,
      after: `${pool}/${own}/l/a#x`,
    });
    expect(page.bookmarks.map(({ id }) => id)).toEqual(named("l/a#y", "l/b#x"));
    const { bookmarks } = await server.must("ListBookmarks", {});
    expect(bookmarks.map(({ id }) => id)).toEqual(expect.arrayContaining(named("l/a#x", "l/b#y")));
  });

  test("DeleteBookmark answers what was deleted, and leaves the snapshot", async () => {
    await create("gone", "s");
    const made = await bookmark("gone@s", "b");
    const id = `${own}/gone#b`;
    expect(await server.must("DeleteBookmark", { id })).toEqual({ bookmarks: [made] });
    expect(await server.refusal("DeleteBookmark", { id })).toBe("not found");
    expect(await listed("gone")).toEqual([]);
    await server.must("GetSnapshot", { id: `${own}/gone@s` });
  });

  test("bookmarks go where their volume goes, those of older snapshots with a promoted clone", async () => {
    await create("base", "older", "origin", "newer");
    for (const tag of ["older", "newer"]) await bookmark(`base@${tag}`, tag);
    await server.must("CloneSnapshot", { id: `${own}/base@origin`, dest: `${own}/heir` });
    expect(await listed("heir")).toEqual([]);
    await server.must("PromoteVolume", { id: `${own}/heir` });
    expect(await listed("heir")).toEqual(named("heir#older"));
    expect(await listed("base")).toEqual(named("base#newer"));
    await server.must("RenameVolume", { id: `${own}/heir`, dest: `${own}/moved` });
    expect(await listed("moved")).toEqual(named("moved#older"));
    await server.must("DeleteDataset", { id: `${own}/base` });
    expect(await server.refusal("ListBookmarks", { id: `${own}/base` })).toBe("not found");
  });

  test("a rollback names newer bookmarks too, and destroys them with destroyMoreRecent", async () => {
    await create("rolled", "s", "t");
    await bookmark("rolled@t", "late");
    await bookmark("rolled@s", "early");
    await server.must("DeleteSnapshot", { id: `${own}/rolled@t` });
    const id = `${own}/rolled@s`;
    const { message, data } = await server.failure("RollbackSnapshot", { id });
    expect(message).toContain(`${pool}/${own}/rolled#late`);
    expect(data.reason).toBe("snapshot.newer_exist");
    await server.must("RollbackSnapshot", { id, destroyMoreRecent: true });
    expect(await listed("rolled")).toEqual(named("rolled#early"));
  });

  test("what is no snapshot, no bookmark or not there is refused", async () => {
    await create("v", "s");
    const made = (id: string, dest = "b") => server.refusal("CreateBookmark", { id, dest });
    expect(await made(`${own}/v`)).toBe("not a snapshot");
    expect(await made(`${own}/v@none`)).toBe("not found");
    expect(await made(`${own}/v@s`, "")).toBe("need a dest");
    expect(await made(`${own}/v@s`, "a b")).toBe("invalid bookmark dest");
    expect(await made(`${own}/v#s`)).toMatch(/^not a valid dataset/);
    const gone = (id: string) => server.refusal("DeleteBookmark", { id });
    expect(await gone(`${own}/v`)).toBe("not a bookmark");
    expect(await gone(`${own}/v@s`)).toBe("not a bookmark");
    expect(await gone(`${own}/none#b`)).toBe("not found");
    expect(await gone("")).toBe("need an id");
    expect(await gone(`${own}/v#a#b`)).toBe("invalid bookmark dest");
    expect(await listed("v")).toEqual([]);
  });
});
