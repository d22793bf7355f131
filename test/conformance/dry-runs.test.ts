import { expect, test } from "vitest";
import { conformance } from "./suite.js";

interface Doomed {
  readonly id: string;
  readonly bytes: number | null;
}

conformance("Dry runs", "dry-runs", ({ server, pool, own }) => {
  const full = (...names: string[]) => names.map((name) => `${pool}/${own}/${name}`);
  const create = (name: string) => server.must("CreateVolume", { id: `${own}/${name}`, size: 8 });
  const snapshot = (name: string, dest: string) =>
    server.must("CreateSnapshot", { id: `${own}/${name}`, dest });
  const doomed = (answer: object) => (answer as { destroys?: Doomed[] }).destroys?.map(({ id }) => id).sort();
  const listAll = async () => ({
    ...(await server.must("ListVolumes", {})),
    ...(await server.must("ListSnapshots", {})),
    ...(await server.must("ListBookmarks", {})),
  });

  test("DeleteDataset answers as it would, names all below it with its bookmarks, and changes nothing", async () => {
    await create("whole/a");
    await create("whole/b");
    await snapshot("whole/a", "s");
    await server.must("CreateBookmark", { id: `${own}/whole/a@s`, dest: "b" });
    const before = await listAll();
    const tried = await server.must("DeleteDataset", { id: `${own}/whole`, dryRun: true });
    expect(doomed(tried)).toEqual(full("whole", "whole/a", "whole/a#b", "whole/a@s", "whole/b"));
    for (const { bytes } of (tried as unknown as { destroys: Doomed[] }).destroys)
      expect(bytes === null || bytes >= 0).toBe(true);
    expect(await listAll()).toEqual(before);
    const { volumes } = await server.must("DeleteDataset", { id: `${own}/whole` });
    expect(tried.volumes).toEqual(volumes);
    expect(doomed({ volumes })).toBeUndefined();
  });

  test("a dry run fails as the call does: not found, with clones, of a wrong type, protected", async () => {
    await create("stem");
    await snapshot("stem", "s");
    await server.must("CloneSnapshot", { id: `${own}/stem@s`, dest: `${own}/branch` });
    const cases = [
      ["DeleteDataset", { id: `${own}/none` }],
      ["DeleteDataset", { id: `${own}/stem` }],
      ["DeleteDataset", { id: "images" }],
      ["DeleteDataset", { id: "a%b" }],
      ["DeleteSnapshot", { id: `${own}/stem@s` }],
      ["DeleteSnapshot", { id: `${own}/stem@s`, recursive: true }],
      ["DeleteSnapshot", { id: `${own}/stem@none` }],
      ["DeleteSnapshot", { id: `${own}/stem` }],
      ["DeleteBookmark", { id: `${own}/stem#none` }],
      ["RollbackSnapshot", { id: `${own}/stem@none` }],
      ["DeleteImage", { id: `${own}-none` }],
    ] as const;
    for (const [method, params] of cases) {
      const tried = await server.failure(method, { ...params, dryRun: true });
      expect(tried, method).toEqual(await server.failure(method, params));
    }
    await server.must("DeleteDataset", { id: `${own}/branch` });
    await server.must("DeleteDataset", { id: `${own}/stem` });
  });

  test("DeleteSnapshot names one snapshot, or those of its name below its dataset", async () => {
    await create("tagged/v");
    await server.must("CreateSnapshot", { id: `${own}/tagged`, dest: "s", recursive: true });
    await snapshot("tagged/v", "other");
    const one = await server.must("DeleteSnapshot", { id: `${own}/tagged/v@s`, dryRun: true });
    expect(doomed(one)).toEqual(full("tagged/v@s"));
    const all = await server.must("DeleteSnapshot", { id: `${own}/tagged@s`, recursive: true, dryRun: true });
    expect(doomed(all)).toEqual(full("tagged/v@s", "tagged@s"));
    expect(all.snapshots.map(({ id }) => id).sort()).toEqual(full("tagged/v@s", "tagged@s"));
    expect((await server.must("ListSnapshots", { id: `${own}/tagged` })).snapshots).toHaveLength(3);
    await server.must("DeleteDataset", { id: `${own}/tagged` });
  });

  test("RollbackSnapshot names newer snapshots and bookmarks, and fails without destroyMoreRecent", async () => {
    await create("rolled");
    for (const dest of ["s1", "s2", "s3"]) await snapshot("rolled", dest);
    await server.must("CreateBookmark", { id: `${own}/rolled@s3`, dest: "b3" });
    const id = `${own}/rolled@s1`;
    const tried = await server.must("RollbackSnapshot", { id, destroyMoreRecent: true, dryRun: true });
    expect(doomed(tried)).toEqual(full("rolled#b3", "rolled@s2", "rolled@s3"));
    const refused = await server.failure("RollbackSnapshot", { id, dryRun: true });
    expect(refused).toEqual(await server.failure("RollbackSnapshot", { id }));
    expect(refused.data.reason).toBe("snapshot.newer_exist");
    const newest = await server.must("RollbackSnapshot", { id: `${own}/rolled@s3`, dryRun: true });
    expect(doomed(newest)).toEqual([]);
    expect((await server.must("ListSnapshots", { id: `${own}/rolled` })).snapshots).toHaveLength(3);
    expect((await server.must("ListBookmarks", { id: `${own}/rolled` })).bookmarks).toHaveLength(1);
    await server.must("DeleteDataset", { id: `${own}/rolled` });
  });

  test("DeleteGuestsDisks and DeleteBookmark name what they delete", async () => {
    const guest = { id: `${own}-g` };
    await server.must("CreateGuestDisks", { guest: { ...guest, disks: [{ size: 8 }] } });
    const tried = await server.must("DeleteGuestsDisks", { guest, dryRun: true });
    const root = `${pool}/guests/${own}-g`;
    expect(doomed(tried)).toEqual([root, `${root}/disk-0`]);
    expect(tried.guest).toEqual({ ...guest, disks: [] });
    await server.must("CreateSnapshot", { id: `${root}/disk-0`, dest: "s" });
    await server.must("CreateBookmark", { id: `${root}/disk-0@s`, dest: "b" });
    const mark = await server.must("DeleteBookmark", { id: `${root}/disk-0#b`, dryRun: true });
    expect(doomed(mark)).toEqual([`${root}/disk-0#b`]);
    expect((await server.must("ListBookmarks", { id: root })).bookmarks).toEqual(mark.bookmarks);
    await server.must("DeleteGuestsDisks", { guest });
    expect(doomed(await server.must("DeleteGuestsDisks", { guest, dryRun: true }))).toEqual([]);
  });

  test("a dry run is answered at once also in the background, and is no job", async () => {
    await create("quick");
    const tried = await server.must("DeleteDataset", {
      ...{ id: `${own}/quick`, dryRun: true, background: true, idempotencyKey: `${own}-k` },
    });
    expect(doomed(tried)).toEqual(full("quick"));
    // The key was not used up by it.
    await server.must("DeleteDataset", { id: `${own}/quick`, idempotencyKey: `${own}-k` });
  });
});
